// The filters of the examples. They are part of the address, after #examples?, so that a view can be shared.
(async () => {
  const PAGE = 50, PREFIX = "#examples?";
  const FIELDS = ["set", "method", "draw", "outcome", "says", "truth", "other", "text", "unstable", "nats"];
  const by = (id) => document.getElementById(id);
  by("count").textContent = "Loading the examples …";
  const parts = new Parts(by("data"));
  let latest = 0;
  const sets = await parts.load("sets").then((all) => all.map((about, number) => new ExampleSet(about, number, parts)), fail);
  by("filters").hidden = !sets;
  if (!sets) return;
  let set = sets[0], state = {}, found = [], page = 0, handled = "";

  function fail(error) {
    latest += 1; // parts that arrive later change nothing
    by("count").textContent = error.message;
    by("list").replaceChildren();
    by("list").setAttribute("aria-busy", "false");
    by("pages").hidden = true;
  }

  // ---- the form

  function choices(id, pairs, value = "") {
    by(id).replaceChildren(...pairs.map(([key, text]) => make("option", { value: key }, text)));
    by(id).value = value;
  }

  function chooseSet() {
    set = sets[Number(by("set").value) || 0];
    const classes = set.labels.map((label, place) => [place, label]);
    choices("method", set.methods.map((method, place) => [place, method.name]), set.best);
    choices("truth", [["", "any"], ...classes]);
    choices("says", [["", "any"], ...classes, [NO_ANSWER, "no answer"]]);
    by("truth-field").hidden = !set.hasTruths;
    for (const id of ["text", "outcome", "other"]) by(id).value = "";
    by("unstable").checked = false;
    chooseMethod();
  }

  function chooseMethod() {
    const chosen = Number(by("method").value), method = set.methods[chosen], draws = method.draws, before = by("other").value;
    const results = ExampleSet.results(method);
    choices("draw", [["", "all draws"], ...results.map((result, place) => [place, result.name])]);
    const others = set.methods.map((method, place) => [place, method.name]).filter(([place]) => place !== chosen);
    choices("other", [["", "no other method"], ...others], before === String(chosen) ? "" : before);
    if (by("other").selectedIndex < 0) by("other").value = "";
    chooseDraw();
    by("draw-field").hidden = results.length < 2;
    by("unstable-field").hidden = draws.length < 2;
    if (draws.length < 2) by("unstable").checked = false;
    by("other-field").hidden = set.methods.length < 2;
    by("nats-field").hidden = !set.methods.some((method) => method.draws.some((draw) => draw.scored));
  }

  function chooseDraw() {
    const draws = set.methods[Number(by("method").value)].draws, several = draws.length > 1 && by("draw").value === "", before = by("outcome").value;
    choices("outcome", [["", "any"], ["right", several ? "right in all draws" : "right"], ["wrong", several ? "wrong in a draw" : "wrong"]], before);
  }

  function read() {
    const place = (id) => (by(id).value === "" ? "" : Number(by(id).value));
    state = { method: place("method"), draw: place("draw"), outcome: by("outcome").value, says: place("says"), truth: place("truth"),
      other: place("other"), text: by("text").value.trim().toLowerCase(), unstable: by("unstable").checked, nats: by("nats").checked };
  }

  // ---- filters

  function tests() {
    const method = set.methods[state.method], draws = state.draw === "" ? method.draws : [ExampleSet.results(method)[state.draw]];
    const made = [];
    if (state.truth !== "") made.push((n) => set.truths[n] === state.truth);
    if (state.outcome !== "") made.push((n) => draws.every((draw) => set.isRight(draw, n)) === (state.outcome === "right"));
    if (state.says !== "") made.push((n) => draws.some((draw) => draw.predictions[n] === state.says));
    if (state.unstable) made.push((n) => draws.some((draw) => draw.predictions[n] !== draws[0].predictions[n]));
    if (state.other !== "") made.push(differs(draws, set.methods[state.other]));
    if (state.text !== "") made.push((n) => set.contains(n, state.text));
    return made;
  }

  // Compares draws, and orders, of the same name, or else with all draws of the other method.
  function differs(draws, method) {
    const pairs = draws.flatMap((draw) => {
      const same = ExampleSet.results(method).filter((other) => other.name === draw.name);
      return (same.length ? same : method.draws).map((other) => [draw.predictions, other.predictions]);
    });
    return (n) => pairs.some(([one, other]) => one[n] !== other[n]);
  }

  // Calls `then` after `load`, unless the reader has asked for something else meanwhile.
  function whenLoaded(load, then) {
    const call = (latest += 1), isLatest = () => call === latest;
    by("list").setAttribute("aria-busy", "true");
    load((share) => isLatest() && (by("count").textContent = `Searching: ${Math.floor(100 * share)} %`))
      .then(() => isLatest() && then(), (error) => isLatest() && fail(error))
      .finally(() => isLatest() && by("list").setAttribute("aria-busy", "false"));
  }

  function filter(number = 0) {
    read();
    handled = told();
    page = number;
    by("previous").disabled = by("next").disabled = true;
    const asked = set, all = range(asked.count);
    whenLoaded(async (tell) => {
      await asked.loadAnswers();
      if (state.text !== "") await asked.loadTexts(all, tell);
    }, () => {
      const kept = tests();
      found = all.filter((n) => kept.every((test) => test(n)));
      show(number);
    });
  }

  function show(number) {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(number, 0), pages - 1);
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    whenLoaded(() => set.loadTexts(shown), () => {
      by("count").textContent = `${found.length} of ${set.count} examples`;
      by("page").textContent = `Page ${page + 1} of ${pages}`;
      by("previous").disabled = page === 0;
      by("next").disabled = page === pages - 1;
      by("pages").hidden = pages === 1;
      by("list").replaceChildren(...shown.map((n) => item(set, state, n)));
    });
  }

  function turn(step) {
    show(page + step);
    write();
    by("count").scrollIntoView();
    by("count").focus({ preventScroll: true });
  }

  // ---- the address

  // Names, not numbers: they are valid in a report of other results as well.
  function nameOf(field) {
    if (field.type === "checkbox") return field.checked ? "yes" : "";
    if (field.value === "" || field.tagName !== "SELECT" || field === by("outcome")) return field.value;
    return field.selectedOptions[0].textContent;
  }

  function told() {
    return new URLSearchParams(FIELDS.map((id) => [id, nameOf(by(id))]).filter(([, name]) => name !== "")).toString();
  }

  function write() {
    const address = PREFIX + told() + (page > 0 ? `&page=${page + 1}` : "");
    try {
      history.replaceState(null, "", address);
    } catch {
      // Safari refuses more than a hundred changes in half a minute; the next change is written again.
    }
  }

  // Unknown and missing names leave a filter open.
  function apply(told) {
    const choose = (id) => {
      const name = id === "outcome" ? (option) => option.value : (option) => option.textContent;
      const option = [...by(id).options].find((one) => name(one) === told.get(id) && one.value !== "");
      if (option) by(id).value = option.value;
    };
    choose("set");
    chooseSet();
    choose("method");
    chooseMethod();
    choose("draw");
    chooseDraw();
    for (const id of ["outcome", "says", "truth", "other"]) choose(id);
    by("text").value = told.get("text") || "";
    for (const id of ["unstable", "nats"]) by(id).checked = told.get(id) === "yes";
    filter((Number(told.get("page")) || 1) - 1);
  }

  function followAddress() {
    if (!location.hash.startsWith(PREFIX)) return false;
    apply(new URLSearchParams(location.hash.slice(PREFIX.length)));
    by("examples").scrollIntoView();
    return true;
  }

  // ---- cells of confusion matrices list their examples

  function open(button) {
    const panel = button.closest(".panel"), cell = button.closest("td"), row = button.closest("tr");
    const place = [...document.querySelectorAll(".set")].indexOf(panel.closest(".set")), classes = sets[place].classes;
    const truth = button.dataset.truth ?? row.rowIndex - 1, says = button.dataset.says ?? cell.cellIndex - 1;
    by("set").value = place;
    chooseSet();
    by("method").value = panel.dataset.method;
    chooseMethod();
    by("truth").value = classes[truth];
    by("says").value = says in classes ? classes[says] : NO_ANSWER;
    filter();
    write();
    by("examples").scrollIntoView();
    by("count").focus({ preventScroll: true });
  }

  for (const button of document.querySelectorAll(".panel td button")) {
    button.dataset.link = "";
    button.title = "List these examples";
    button.addEventListener("click", () => open(button));
  }

  choices("set", sets.map((one, place) => [place, one.name]), 0);
  by("set-field").hidden = sets.length === 1;
  for (const kind of ["input", "change"]) { // a select fires both, some tools only one
    by("filters").addEventListener(kind, (event) => {
      if (told() === handled) return;
      if (event.target === by("set")) chooseSet();
      if (event.target === by("method")) chooseMethod();
      if (event.target === by("draw")) chooseDraw();
      filter();
      write();
    });
  }
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("filters").addEventListener("reset", (event) => {
    event.preventDefault(); // keeps data set and method
    const method = by("method").value, nats = by("nats").checked;
    chooseSet();
    by("method").value = method;
    chooseMethod();
    by("nats").checked = nats;
    filter();
    write();
  });
  by("previous").addEventListener("click", () => turn(-1));
  by("next").addEventListener("click", () => turn(1));
  addEventListener("hashchange", followAddress);
  if (!followAddress()) {
    chooseSet();
    filter();
  }
})();
