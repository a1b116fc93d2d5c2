// The details of an example: its text, the prediction of each method, scores and prompts of the selected methods.
const FIELD = "{text}", FEW = 6;

function chosenDraws(set, state) {
  const method = set.methods[state.method];
  const chosen = state.draw === "" ? method.draws : [ExampleSet.results(method)[state.draw]];
  const kept = chosen.map((draw) => [method, draw]);
  return state.other === "" ? kept : [...kept, ...set.methods[state.other].draws.map((draw) => [set.methods[state.other], draw])];
}

function nameOf([method, draw]) {
  return ExampleSet.results(method).length > 1 ? `${method.name}, ${draw.name}` : method.name;
}

async function detail(set, state, number) {
  const draws = chosenDraws(set, state);
  let found;
  try {
    found = await set.details(number);
  } catch (error) {
    return make("p", {}, error.message);
  }
  const text = set.texts
    ? make("p", { class: "whole" }, set.texts[number])
    : make("p", {}, "The text is not shown: the prompt file was missing when this page was made.");
  const cut = draws.filter(([, draw]) => own(found, draw).cut.includes(found.n)).map(nameOf);
  const note = cut.length ? make("p", { class: "note" }, `Text truncated for: ${cut.join("; ")}.`) : null;
  const shown = [answers(set, number), scores(set, state, draws, number, found), generated(draws, found), ...prompts(set, draws, number, found)];
  return make("div", {}, ...[text, note, ...shown].filter((part) => part !== null));
}

// The scores, generated texts and prompts of a draw in a part with details.
const own = (found, draw) => found.draws[draw.place];

// [class, score in nats, probability] of each label word.
function scoresOf(found, draw) {
  const { words, scores, norms } = own(found, draw), n = found.n;
  const begin = range(n).reduce((sum, k) => sum + found.words[at(words, k)].length, 0);
  const places = found.words[at(words, n)];
  const nats = places.map((_, k) => scores[begin + k] / UNITS);
  const top = Math.max(...nats);
  const sum = nats.reduce((total, value) => total + Math.exp(value - top), 0);
  const norm = norms ? norms[n] / UNITS : top + Math.log(sum);
  return places.map((place, k) => [place, nats[k], Math.exp(nats[k] - norm)]);
}

function grid(caption, header, rows) {
  const head = make("tr", {}, ...header.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row[0]), ...row.slice(1).map((cell) => make("td", {}, cell))));
  const inside = make("table", { class: "data" }, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", role: "group", tabindex: 0, "aria-label": caption }, inside);
}

function answers(set, n) {
  const rows = set.methods.map((method) => {
    const said = [...set.answers(method, n)].flatMap(([place, count]) => [verdict(set, place, n), `${share(method, count)}  `]);
    return [method.name, make("span", {}, ...said)];
  });
  return make("details", set.methods.length > FEW ? {} : { open: "" }, make("summary", {}, "Predictions of all methods"), grid("Predictions", ["Method", "Prediction"], rows));
}

function scores(set, state, draws, n, found) {
  const scoring = draws.filter(([, draw]) => draw.scored);
  if (scoring.length === 0) return null;
  const columns = scoring.map(([, draw]) => new Map(scoresOf(found, draw).map(([place, nats, p]) => [place, [nats, p]])));
  const places = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const rows = places.map((place) => [
    set.truths && set.truths[n] === place ? make("b", {}, `${set.label(place)} (ground truth)`) : set.label(place),
    ...columns.map((column, k) => scoreCell(column.get(place), scoring[k][1].predictions[n] === place, state.nats)),
  ]);
  const caption = `${state.nats ? "Scores in nats" : "Probabilities"}; ← prediction`;
  return grid(caption, ["Label word", ...scoring.map(nameOf)], rows);
}

function scoreCell(found, isPrediction, inNats) {
  if (!found) return "";
  const [nats, p] = found;
  const text = inNats ? nats.toFixed(3) : `${(100 * p).toFixed(1)} %`;
  const bar = make("span", { class: "bar" });
  bar.style.width = `${4 * p}rem`;
  const number = make(isPrediction ? "b" : "span", { class: "score" }, text, isPrediction ? " ←" : "");
  return make("span", {}, number, inNats ? null : bar);
}

function generated(draws, found) {
  const writing = draws.filter(([, draw]) => own(found, draw).generations);
  if (writing.length === 0) return null;
  return grid("Generated text", ["Method", "Text"], writing.map((pair) => [nameOf(pair), JSON.stringify(own(found, pair[1]).generations[found.n])]));
}

function prompts(set, draws, n, found) {
  const users = new Map();
  for (const pair of draws) {
    const place = at(own(found, pair[1]).prompts, found.n);
    if (place !== null && place !== undefined) users.set(place, [...(users.get(place) || []), nameOf(pair)]);
  }
  if (!set.texts) return [];
  return [...users].map(([place, names]) => make("details", {}, make("summary", {}, `Prompt of ${names.join("; ")}`),
    promptText(found, found.prompts[place], set.texts[n])));
}

function promptText(found, [parts, completion, separator], example) {
  let demonstrations = 0;
  const answer = found.parts[completion];
  const scored = answer.includes(FIELD); // then {text} in the prompt is text of a demonstration
  const shown = parts.map(([kind, place]) => {
    const text = found.parts[place];
    if (kind !== "demonstration") return make("span", { class: kind }, ...(scored || kind !== "own" ? [text] : filled(text, example)));
    demonstrations += 1;
    return make("span", { class: kind, "data-name": `demonstration ${demonstrations}` }, text);
  });
  return make("pre", {}, ...shown, arrow(separator < 0 ? null : found.parts[separator]), ...filled(answer, example));
}

function arrow(separator) { // one space is the default
  return separator === null ? "\n\n→ " : `\n\n→ (joined by ${JSON.stringify(separator)}) `;
}

// Fills the last {text}, as llama/templates.py does. {label_word} stays: each label word is scored there.
function filled(template, text) {
  const place = template.lastIndexOf(FIELD);
  if (place < 0) return [template];
  return [template.slice(0, place), make("mark", {}, text), template.slice(place + FIELD.length)];
}
