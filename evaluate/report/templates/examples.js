// The list of examples with the predictions of the methods. Texts become text nodes: nothing from a data set is parsed
// as HTML.
const NO_ANSWER = -1, UNITS = 1000, START = 160, NAMES = 5;

async function unpack(text) {
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = characters.charCodeAt(place);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(plain).json();
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

const at = (column, n) => (Array.isArray(column) ? column[n] : column); // a column of equal entries is one value

class ExampleSet {
  constructor(data) {
    Object.assign(this, data);
  }

  label(place) {
    return place === NO_ANSWER ? "no answer" : this.labels[place];
  }

  isRight(draw, n) {
    return draw.right ? draw.right[n] === "1" : draw.predictions[n] === this.truths[n];
  }

  contains(n, wanted) {
    this.lowered ??= this.ids.map((id, k) => `${id}\n${this.texts ? this.texts[k] : ""}`.toLowerCase());
    return this.lowered[n].includes(wanted);
  }

  // [class, score in nats, probability] of each label word; null if the method has no scores.
  scores(draw, n) {
    if (!draw.scores) return null;
    if (!draw.begins) {
      let begin = 0;
      draw.begins = this.ids.map((_, k) => (begin += this.words[at(draw.words, k)].length) - this.words[at(draw.words, k)].length);
    }
    const places = this.words[at(draw.words, n)];
    const nats = places.map((_, k) => draw.scores[draw.begins[n] + k] / UNITS);
    const top = Math.max(...nats);
    const sum = nats.reduce((total, value) => total + Math.exp(value - top), 0);
    const norm = draw.norms ? draw.norms[n] / UNITS : top + Math.log(sum);
    return places.map((place, k) => [place, nats[k], Math.exp(nats[k] - norm)]);
  }

  // All results of a method: its draws, then other orders of a draw's demonstrations.
  static results(method) {
    return [...method.draws, ...method.orders];
  }

  // Number of draws by prediction.
  answers(method, n) {
    const counts = new Map();
    for (const draw of method.draws) counts.set(draw.predictions[n], (counts.get(draw.predictions[n]) || 0) + 1);
    return counts;
  }
}

// ---- entries of the list

function verdict(set, place, n) {
  const right = set.truths ? set.truths[n] === place : null;
  const sign = right === null ? "" : right ? "✓ " : "✗ ";
  return make("b", { class: right === null ? "" : right ? "right" : "wrong" }, sign + set.label(place));
}

// The number of draws, unless all agree.
function share(method, count) {
  return count < method.draws.length ? ` (${count}/${method.draws.length})` : "";
}

// A line for the selected method, then one for the others, grouped by prediction.
function said(set, chosen, n) {
  const lines = [[...set.answers(chosen, n)].map(([place, count]) => [place, [chosen.name + share(chosen, count)]])];
  const others = new Map();
  for (const method of set.methods) {
    if (method === chosen) continue;
    for (const [place, count] of set.answers(method, n)) {
      others.set(place, [...(others.get(place) || []), method.name + share(method, count)]);
    }
  }
  lines.push([...others].sort((a, b) => b[1].length - a[1].length));
  return lines.filter((line) => line.length).map((line) => make("span", { class: "said" }, ...line.map(([place, names]) => {
    const more = names.length > NAMES ? ` and ${names.length - NAMES} more` : "";
    return make("span", {}, verdict(set, place, n), ` ${names.slice(0, NAMES).join("; ")}${more}`);
  })));
}

function item(set, state, n) {
  const text = set.texts ? set.texts[n] : "";
  const start = text.length > START ? `${text.slice(0, START)}…` : text;
  const truth = set.truths ? make("span", { class: "truth" }, set.label(set.truths[n])) : null;
  const summary = make("summary", {}, make("span", { class: "id" }, set.ids[n]), " ", truth,
    make("span", { class: "start" }, start), ...said(set, set.methods[state.method], n));
  const box = make("details", {}, summary);
  box.addEventListener("toggle", () => box.children.length === 1 && box.append(detail(set, state, n)));
  return make("li", {}, box);
}
