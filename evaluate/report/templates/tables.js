"use strict";
// Sortable tables, and the choice of methods whose matrices and diagrams are shown.
(() => {
  const rankOf = (cell) => (cell.dataset.rank === undefined ? null : Number(cell.dataset.rank));

  // Unknown values come last in either order.
  function compare(a, b, direction) {
    const [first, second] = [rankOf(a), rankOf(b)];
    if (first !== null && second !== null) return direction * (first - second);
    if (first !== null || second !== null) return first === null ? 1 : -1;
    return direction * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  }

  function sort(table, header, place) {
    const isNumber = header.classList.contains("number"), current = header.getAttribute("aria-sort");
    const first = isNumber ? "descending" : "ascending", other = isNumber ? "ascending" : "descending";
    const order = current === first ? other : first, direction = order === "ascending" ? 1 : -1;
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) row.classList.remove("group");
    rows.sort((a, b) => compare(a.cells[place], b.cells[place], direction));
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((header, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, header, place));
      header.append(button);
    });
  }

  for (const section of document.querySelectorAll(".chosen")) {
    const boxes = [...section.querySelectorAll(".chooser input")];
    const show = () => {
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      for (const panel of section.querySelectorAll(".panel")) {
        panel.hidden = boxes.length > 0 && !chosen.includes(panel.dataset.method);
      }
      const output = section.querySelector("output");
      if (output) output.textContent = `${chosen.length} of ${boxes.length}`;
    };
    section.addEventListener("change", show);
    show();
  }
})();
