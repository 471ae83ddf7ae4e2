"""Published results, each as a function that says everything it takes to make it again."""
