// The list of examples with the predictions of the methods. Texts become text nodes: nothing from a data set is parsed
// as HTML.
const NO_ANSWER = -1, UNITS = 1000, START = 160, NAMES = 5;

const range = (count) => [...Array(count).keys()];
const at = (column, n) => (Array.isArray(column) ? column[n] : column); // a column of equal entries is one value

class ExampleSet {
  constructor(about, number, parts) {
    Object.assign(this, about, { number, parts });
    this.texts = this.rows.texts ? new Array(this.count) : null;
    this.all = this.methods.flatMap(ExampleSet.results);
    this.all.forEach((draw, place) => (draw.place = place));
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

  // ---- parts

  part(layer, place) {
    return this.parts.load(`${layer}-${this.number}-${place}`);
  }

  // Ids, ground truths and predictions of all examples, which the filters need.
  async loadAnswers() {
    if (this.ids) return;
    const found = await Promise.all(range(Math.ceil(this.count / this.rows.answers)).map((place) => this.part("answers", place)));
    this.truths = this.hasTruths ? found.flatMap((part) => part.truths) : null;
    for (const draw of this.all) {
      draw.predictions = found.flatMap((part) => part.predictions[draw.place]);
      draw.right = this.hasTruths ? null : found.map((part) => part.right[draw.place]).join("");
    }
    this.ids = found.flatMap((part) => part.ids);
  }

  // Texts of some examples. `tell` is called with the share of their parts that is loaded.
  async loadTexts(numbers, tell = () => {}) {
    if (!this.texts) return;
    const places = [...new Set(numbers.map((n) => Math.floor(n / this.rows.texts)))];
    let loaded = 0;
    await Promise.all(places.map(async (place) => {
      const texts = await this.part("texts", place);
      texts.forEach((text, k) => (this.texts[place * this.rows.texts + k] = text));
      tell((loaded += 1) / places.length);
    }));
  }

  // The part with scores, generated texts and prompts of an example, and the place `n` of the example in it.
  async details(number) {
    const place = Math.floor(number / this.rows.details);
    return { ...(await this.part("details", place)), n: number - place * this.rows.details };
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
  box.addEventListener("toggle", async () => box.append(await detail(set, state, n)), { once: true });
  return make("li", {}, box);
}
