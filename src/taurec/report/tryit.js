"use strict";
(function () {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("tryit-data").textContent);
  const n = data.items.length;

  function bytes(text) {
    const raw = atob(text);
    const out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  const int8 = (text) => new Int8Array(bytes(text).buffer);
  const int32 = (text) => new Int32Array(bytes(text).buffer);
  const float32 = (text) => new Float32Array(bytes(text).buffer);

  // Rows of int8 as unit vectors; a zero row stays zero.
  function unitRows(model) {
    const q = int8(model.q), dim = model.dim, out = new Float64Array(q.length);
    for (let i = 0; i < n; i++) {
      let square = 0;
      for (let d = i * dim; d < (i + 1) * dim; d++) square += q[d] * q[d];
      const norm = square > 0 ? Math.sqrt(square) : 1;
      for (let d = i * dim; d < (i + 1) * dim; d++) out[d] = q[d] / norm;
    }
    return out;
  }

  function against(unit, length, dim, user) {
    const out = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += unit[i * dim + d] * user[d];
      out[i] = sum * length[i];
    }
    return out;
  }

  // x with a x = b, for a symmetric positive definite a [dim * dim], by Cholesky in place.
  function solve(a, b, dim) {
    for (let j = 0; j < dim; j++) {
      for (let i = j; i < dim; i++) {
        let sum = a[i * dim + j];
        for (let p = 0; p < j; p++) sum -= a[i * dim + p] * a[j * dim + p];
        a[i * dim + j] = i === j ? Math.sqrt(sum) : sum / a[j * dim + j];
      }
    }
    const x = Float64Array.from(b);
    for (let i = 0; i < dim; i++) {
      for (let p = 0; p < i; p++) x[i] -= a[i * dim + p] * x[p];
      x[i] /= a[i * dim + i];
    }
    for (let i = dim - 1; i >= 0; i--) {
      for (let p = i + 1; p < dim; p++) x[i] -= a[p * dim + i] * x[p];
      x[i] /= a[i * dim + i];
    }
    return x;
  }

  // Each makes, from a model's data, the function from a history to n scores.
  const forms = {
    "vectors"(model) {
      const unit = unitRows(model), length = float32(model.length), dim = model.dim;
      return (history) => {
        const user = new Float64Array(dim);
        for (const i of history) for (let d = 0; d < dim; d++) user[d] += unit[i * dim + d] / history.length;
        return against(unit, length, dim, user);
      };
    },
    "sum"(model) {
      const unit = unitRows(model), length = float32(model.length), dim = model.dim;
      const unitOf = unitRows({ q: model.qOf, dim }), lengthOf = float32(model.lengthOf);
      return (history) => {
        const user = new Float64Array(dim);
        for (const i of history) for (let d = 0; d < dim; d++) user[d] += unitOf[i * dim + d] * lengthOf[i];
        let square = 0;
        for (let d = 0; d < dim; d++) square += user[d] * user[d];
        const factor = model.unit ? (square > 0 ? 1 / Math.sqrt(square) : 1) : Math.pow(history.length, -model.alpha);
        return against(unit, length, dim, user.map((x) => x * factor));
      };
    },
    "least-squares"(model) {
      const unit = unitRows(model), length = float32(model.length), dim = model.dim, base = float32(model.base);
      return (history) => {
        const a = Float64Array.from(base), b = new Float64Array(dim);
        const ridge = model.l2 * Math.pow(history.length + model.alpha * model.items, model.nu);
        for (let d = 0; d < dim; d++) a[d * dim + d] += ridge;
        for (const i of history) {
          for (let d = 0; d < dim; d++) {
            const value = unit[i * dim + d] * length[i];
            b[d] += value;
            for (let e = 0; e < dim; e++) a[d * dim + e] += value * unit[i * dim + e] * length[i];
          }
        }
        return against(unit, length, dim, solve(a, b, dim));
      };
    },
    "weights"(model) {
      const gap = bytes(model.gap), value = int8(model.value), scale = float32(model.scale), count = int32(model.count);
      const starts = new Int32Array(n + 1);
      for (let i = 0; i < n; i++) starts[i + 1] = starts[i] + count[i];
      return (history) => {
        const out = new Float64Array(n);
        for (const i of history) {
          let column = -1;
          for (let e = starts[i]; e < starts[i + 1]; e++) {
            column += gap[e];
            out[column] += value[e] * scale[i];
          }
        }
        return out;
      };
    },
    "constant"(model) {
      const score = float32(model.score);
      return () => Float64Array.from(score);
    },
    "blend"(model) {
      const halves = model.halves.map((half) => forms[half.kind](half)), weights = [1 - model.weight, model.weight];
      const parts = (history) => halves.map((half, side) => scaled(half(history), history, weights[side]));
      const scores = (history) => {
        if (model.weight === 0 || model.weight === 1) return halves[model.weight](history);
        const [first, second] = parts(history);
        return first.map((value, i) => value + second[i]);
      };
      return Object.assign(scores, { parts });
    },
  };

  // Scores times a weight, with mean 0 and standard deviation 1 over the items outside the history.
  function scaled(scores, history, weight) {
    const seen = new Set(history);
    let count = 0, sum = 0, square = 0, least = Infinity, most = -Infinity;
    for (let i = 0; i < n; i++) {
      if (seen.has(i)) continue;
      count += 1;
      sum += scores[i];
      least = Math.min(least, scores[i]);
      most = Math.max(most, scores[i]);
    }
    if (!(least < most)) return new Float64Array(n);
    const mean = sum / count;
    for (let i = 0; i < n; i++) if (!seen.has(i)) square += (scores[i] - mean) * (scores[i] - mean);
    const sd = Math.sqrt(square / count);
    return scores.map((value) => weight * (value - mean) / sd);
  }
  const made = new Map();
  function form(m) {
    if (!made.has(m)) made.set(m, forms[data.models[m].kind](data.models[m]));
    return made.get(m);
  }

  function best(m, history) {
    if (!history.length) return [];
    const s = form(m)(history), seen = new Set(history), order = [];
    for (let i = 0; i < n; i++) if (!seen.has(i)) order.push(i);
    return order.sort((a, b) => s[b] - s[a] || a - b).slice(0, data.k);
  }

  // What each half of a blend adds to the score of an item: "ease +2.10, mf:sl +0.85"; empty for other models.
  function contributions(m, history) {
    const halves = data.models[m].halves;
    if (!halves || !history.length) return () => "";
    const parts = form(m).parts(history);
    const text = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
    return (i) => halves.map((half, side) => half.label + " " + text(parts[side][i])).join(", ");
  }

  // What people see. Names become text nodes only.
  function element(tag, text, more) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    return Object.assign(made, more || {});
  }
  const lower = data.items.map((name) => name.toLowerCase());
  const input = find("tryit-input"), matches = find("tryit-matches"), picked = find("tryit-picked");
  const status = find("tryit-status"), results = find("tryit-results");
  const selects = [...document.querySelectorAll(".tryit-model")];
  let history = data.start.slice();

  function drawPicked() {
    picked.replaceChildren(...history.map((i) => {
      const line = element("li"), button = element("button", data.items[i] + " ×", { type: "button" });
      button.setAttribute("aria-label", "Remove " + data.items[i]);
      button.addEventListener("click", () => {
        history = history.filter((other) => other !== i);
        draw("Removed " + data.items[i] + ".");
        input.focus();
      });
      line.append(button);
      return line;
    }));
  }

  function drawLists() {
    const lists = selects.map((select) => best(Number(select.value), history));
    const common = lists.length > 1 ? new Set(lists[0].filter((i) => lists[1].includes(i))) : new Set();
    results.replaceChildren(...lists.map((list, side) => {
      const column = element("div"), ranked = element("ol");
      const added = contributions(Number(selects[side].value), history);
      column.append(element("h3", data.models[Number(selects[side].value)].label), ranked);
      for (const i of list) {
        const line = element("li", data.items[i]);
        if (common.has(i)) line.append(element("span", " in both", { className: "tag" }));
        if (added(i)) line.append(element("span", " " + added(i), { className: "tag" }));
        ranked.append(line);
      }
      return column;
    }));
    return lists.length > 1 ? common.size + " of " + lists[0].length + " items are in both lists." : "";
  }

  function draw(said) {
    drawPicked();
    const common = drawLists();
    status.textContent = (said ? said + " " : "") + (history.length ? common : "Pick an item to see lists.");
  }

  function matching() {
    const wanted = input.value.trim().toLowerCase(), starts = [], within = [];
    if (!wanted) return [];
    for (let i = 0; i < n; i++) {
      const at = lower[i].indexOf(wanted);
      if (at < 0 || history.includes(i)) continue;
      (at === 0 ? starts : within).push(i);
    }
    const shorter = (a, b) => lower[a].length - lower[b].length || (lower[a] < lower[b] ? -1 : 1);
    return [...starts.sort(shorter), ...within.sort(shorter)].slice(0, 8);
  }

  function drawMatches() {
    const found = matching();
    matches.replaceChildren(...found.map((i) => {
      const line = element("li"), button = element("button", data.items[i], { type: "button" });
      button.addEventListener("click", () => pick(i));
      line.append(button);
      return line;
    }));
    if (input.value.trim()) status.textContent = found.length ? found.length + " matches shown." : "No item matches.";
  }

  function pick(i) {
    history.push(i);
    input.value = "";
    matches.replaceChildren();
    draw("Added " + data.items[i] + ".");
    input.focus();
  }

  input.addEventListener("input", drawMatches);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      const found = matching();
      if (found.length) pick(found[0]);
    } else if (event.key === "Escape") {
      input.value = "";
      drawMatches();
    } else if (event.key === "ArrowDown" && matches.firstChild) {
      event.preventDefault();
      matches.querySelector("button").focus();
    }
  });
  matches.addEventListener("keydown", (event) => {
    const line = document.activeElement.parentNode;
    const to = { ArrowDown: line.nextSibling, ArrowUp: line.previousSibling }[event.key];
    if (event.key === "Escape") input.focus();
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      (to ? to.firstChild : event.key === "ArrowUp" ? input : document.activeElement).focus();
    }
  });
  find("tryit-clear").addEventListener("click", () => {
    history = [];
    draw("All removed.");
    input.focus();
  });
  selects.forEach((select) => select.addEventListener("change", () => draw("")));
  find("tryit").hidden = false;
  draw("");
})();
