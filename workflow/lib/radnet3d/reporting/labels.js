"use strict";
// Tables that can be sorted and filtered. Without this they are plain tables with every row.

const valueOf = (cell) => cell.dataset.value ?? cell.textContent.trim();
const numberOf = (cell) => parseFloat(valueOf(cell).replace(/[^0-9.]/g, ""));

// `turn`: 1 for a to z and the largest number first, -1 for the other way round; what is no number comes last.
function order(a, b, isNumber, turn) {
  if (!isNumber) return turn * valueOf(a).localeCompare(valueOf(b));
  const [x, y] = [numberOf(a), numberOf(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : turn * (y - x);
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isNumber = head.classList.contains("number");
      const turn = head.ariaSort === (isNumber ? "descending" : "ascending") ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.ariaSort = (turn === 1) === isNumber ? "descending" : "ascending";
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => order(a.cells[head.cellIndex], b.cells[head.cellIndex], isNumber, turn));
      table.tBodies[0].append(...rows);
    });
  }
}

function fill(select, rows, column, all) {
  const words = new Set(rows.flatMap((row) => valueOf(row.cells[column]).split(";")));
  select.replaceChildren(new Option(all, ""), ...[...words].sort().map((word) => new Option(word, word)));
}

function makeFilter(form) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const { modality, head, label, text, contradicted } = form.elements;
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const isWanted = (select, row, column) => !select?.value || valueOf(row.cells[column]).split(";").includes(select.value);
  const show = () => {
    let n = 0;
    for (const row of rows) {
      row.hidden = !(
        isWanted(modality, row, 0) &&
        (!head?.value || isWanted(label, row, Number(head.value))) &&
        (!contradicted?.checked || row.classList.contains("contradicted")) &&
        text.value.toLowerCase().split(/\s+/).every((word) => texts.get(row).includes(word))
      );
      n += !row.hidden;
    }
    form.querySelector("output").value = `${n} of ${rows.length} rows`;
  };
  const fillLabels = () => {
    label.disabled = !head.value;
    if (head.value) fill(label, rows, Number(head.value), "any answer");
    else label.replaceChildren(new Option("any answer", ""));
  };
  fill(modality, rows, 0, "all");
  if (head) {
    fillLabels();
    head.addEventListener("input", fillLabels);
  }
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}

document.querySelectorAll("table.grid").forEach(makeSortable);
document.querySelectorAll("form.filter").forEach(makeFilter);
