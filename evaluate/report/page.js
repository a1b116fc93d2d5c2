"use strict";
// The list of examples. All text reaches the page as text nodes: nothing from a data set is ever parsed as HTML.
(() => {
  const PAGE = 50, START = 160, CHIPS = 6, NO_ANSWER = -1, FIELD = "{text}";
  const sets = JSON.parse(document.getElementById("data").textContent).sets;
  const by = (id) => document.getElementById(id);
  let set = sets[0], systems = [], found = [], page = 0, lowered = null;

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  const label = (place) => (place === NO_ANSWER ? "no answer" : set.labels[place]);
  const of = (column, n) => (Array.isArray(column) ? column[n] : column); // one stands for all where they are the same
  const isRight = (system, n) => system.right[n] === "1";

  // ---- filters

  function choices(select, pairs) {
    select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  }

  function classChoices(places) {
    return [["", "any"], ...places.map((place) => [String(place), label(place)])];
  }

  function chooseSet() {
    set = sets[Number(by("set").value) || 0];
    lowered = null;
    const classes = set.labels.map((_, place) => place);
    choices(by("truth"), classChoices(classes));
    by("truth").parentElement.hidden = set.truths === null;
    by("disagree").parentElement.hidden = set.systems.length < 2;
    by("disagree").checked = false;
    systems = set.systems.map((system) => {
      const outcome = make("select", {}), predicted = make("select", {});
      choices(outcome, [["", "any"], ["1", "right"], ["0", "wrong"]]);
      choices(predicted, classChoices(system.predictions.includes(NO_ANSWER) ? [...classes, NO_ANSWER] : classes));
      const fields = make("div", { class: "fields" }, make("label", {}, "Outcome ", outcome),
        make("label", {}, "Prediction ", predicted));
      return { system, outcome, predicted, box: make("fieldset", {}, make("legend", {}, system.name), fields) };
    });
    by("systems").replaceChildren(...systems.map((one) => one.box));
    filter();
  }

  function contains(n, wanted) {
    lowered ??= set.ids.map((id, k) => `${id}\n${set.texts ? set.texts[k] : ""}`.toLowerCase());
    return lowered[n].includes(wanted);
  }

  function disagree(n) {
    return set.systems.some((system) => system.predictions[n] !== set.systems[0].predictions[n]);
  }

  function filter() {
    const wanted = by("text").value.trim().toLowerCase(), truth = by("truth").value;
    const tests = [];
    if (truth !== "") tests.push((n) => set.truths[n] === Number(truth));
    for (const { system, outcome, predicted } of systems) {
      if (outcome.value !== "") tests.push((n) => system.right[n] === outcome.value);
      if (predicted.value !== "") tests.push((n) => system.predictions[n] === Number(predicted.value));
    }
    if (by("disagree").checked) tests.push(disagree);
    if (wanted !== "") tests.push((n) => contains(n, wanted));
    found = set.ids.map((_, n) => n).filter((n) => tests.every((test) => test(n)));
    show(0);
  }

  // ---- list

  function show(number) {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(number, 0), pages - 1);
    by("count").textContent = `${found.length} of ${set.ids.length} examples`;
    by("page").textContent = `Page ${page + 1} of ${pages}`;
    by("previous").disabled = page === 0;
    by("next").disabled = page === pages - 1;
    by("pages").hidden = pages === 1;
    by("list").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(item));
  }

  function turn(step) {
    show(page + step);
    by("count").scrollIntoView();
    by("count").focus({ preventScroll: true });
  }

  function item(n) {
    const text = set.texts ? set.texts[n] : "";
    const truth = set.truths ? make("span", { class: "truth" }, label(set.truths[n])) : null;
    const start = text.length > START ? `${text.slice(0, START)}…` : text;
    const summary = make("summary", {}, make("span", { class: "id" }, set.ids[n]), " ", truth,
      make("span", { class: "start" }, start), verdicts(n));
    const box = make("details", {}, summary);
    box.addEventListener("toggle", () => box.children.length === 1 && box.append(detail(n)));
    return make("li", {}, box);
  }

  function verdicts(n) {
    const all = set.systems;
    if (all.length > CHIPS) {
      return make("span", { class: "verdicts" }, `${all.filter((s) => isRight(s, n)).length} of ${all.length} right`);
    }
    return make("span", { class: "verdicts" }, ...all.map((system) => {
      const right = isRight(system, n), says = label(system.predictions[n]);
      return make("span", { class: right ? "right" : "wrong" }, `${right ? "✓" : "✗"} ${system.name}: ${says}`);
    }));
  }

  function detail(n) {
    const text = set.texts
      ? make("p", { class: "whole" }, set.texts[n])
      : make("p", {}, "The prompt file was not at hand when this page was made, so the text is not shown.");
    const cut = set.systems.filter((system) => system.cut.includes(n)).map((system) => system.name);
    const note = cut.length ? make("p", { class: "note" }, `Too long, cut at its end for: ${cut.join(", ")}.`) : null;
    return make("div", {}, text, note, answers(n), scores(n), ...prompts(n));
  }

  function grid(caption, header, rows) {
    const cell = (tag, content, scope) => make(tag, scope ? { scope } : {}, content);
    const head = make("tr", {}, ...header.map((text) => cell("th", text, "col")));
    const body = rows.map((row) => make("tr", {}, ...row.map((c, k) => (k ? cell("td", c) : cell("th", c, "row")))));
    const inside = make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
    return make("div", { class: "scroll", role: "group", tabindex: 0, "aria-label": caption }, inside);
  }

  function answers(n) {
    const generated = set.systems.some((system) => system.generations);
    const rows = set.systems.map((system) => {
      const right = isRight(system, n);
      const verdict = make("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong");
      const row = [system.name, label(system.predictions[n]), verdict];
      return generated ? [...row, system.generations ? JSON.stringify(system.generations[n]) : ""] : row;
    });
    return grid("Predictions", ["Result", "Prediction", "Outcome", ...(generated ? ["Generated text"] : [])], rows);
  }

  function scores(n) {
    const scoring = set.systems.filter((system) => system.scores);
    if (scoring.length === 0) return null;
    const words = [...new Set(scoring.flatMap((system) => set.label_sets[of(system.label_sets, n)]))];
    const columns = scoring.map((system) => {
      const places = set.label_sets[of(system.label_sets, n)], values = system.scores[n];
      const top = Math.max(...values);
      const total = values.reduce((sum, value) => sum + Math.exp(value - top), 0);
      const share = (value) => Math.exp(value - top) / total;
      return new Map(places.map((place, k) => [place, [values[k], share(values[k])]]));
    });
    const rows = words.map((word) => [
      set.truths && set.truths[n] === word ? make("strong", {}, `${label(word)} (ground truth)`) : label(word),
      ...columns.map((column, k) => {
        if (!column.has(word)) return "";
        const [value, share] = column.get(word);
        const text = `${value.toFixed(3)} (${(100 * share).toFixed(1)} %)`;
        return scoring[k].predictions[n] === word ? make("strong", {}, `${text} ←`) : text;
      }),
    ]);
    const caption = "Scores in nats, their share after softmax; ← is the prediction";
    return grid(caption, ["Label word", ...scoring.map((system) => system.name)], rows);
  }

  function prompts(n) {
    if (!set.texts) return [];
    const users = new Map();
    for (const system of set.systems) {
      const place = of(system.templates, n);
      if (place === null || place === undefined || set.templates[place][0] === null) continue;
      users.set(place, [...(users.get(place) || []), system.name]);
    }
    return [...users].map(([place, names]) => {
      const [prompt, completion, separator] = set.templates[place];
      const scored = (completion || "").includes(FIELD); // then a field's name in the prompt is a demonstration's text
      const body = make("pre", {}, ...(scored ? [prompt] : filled(prompt, set.texts[n])), arrow(separator),
        ...filled(completion || "", set.texts[n]));
      return make("details", {}, make("summary", {}, `Prompt of ${names.join(", ")}`), body);
    });
  }

  function arrow(separator) { // one space goes without saying
    return separator === null ? "\n\n→ " : `\n\n→ (joined by ${JSON.stringify(separator)}) `;
  }

  // The last occurrence is the field, as in llama/prompts.py; {label_word} stays open: each of them stands there.
  function filled(template, text) {
    const place = template.lastIndexOf(FIELD);
    if (place < 0) return [template];
    return [template.slice(0, place), make("mark", {}, text), template.slice(place + FIELD.length)];
  }

  choices(by("set"), sets.map((one, place) => [String(place), one.name]));
  by("set-field").hidden = sets.length === 1;
  by("set").addEventListener("change", chooseSet);
  for (const kind of ["input", "change"]) { // of a choice, some tools fire one, some the other
    by("filters").addEventListener(kind, (event) => event.target !== by("set") && filter());
  }
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("filters").addEventListener("reset", (event) => {
    event.preventDefault(); // the data set stays
    by("text").value = "";
    by("truth").value = "";
    by("disagree").checked = false;
    for (const { outcome, predicted } of systems) outcome.value = predicted.value = "";
    filter();
  });
  by("previous").addEventListener("click", () => turn(-1));
  by("next").addEventListener("click", () => turn(1));
  chooseSet();
})();
