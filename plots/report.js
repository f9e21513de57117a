/* Tables of a report sort by their heads; all else works without this. */
(function () {
  "use strict";

  function key(row, column) {
    var cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  }

  /* What has no number goes last, whichever way the others go; texts with numbers in them sort by these. */
  function order(column, numeric, way) {
    return function (a, b) {
      var x = key(a, column), y = key(b, column);
      if (!numeric) return way * String(x).localeCompare(String(y), "en", {numeric: true});
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
      return typeof x === "number" ? way * (x - y) : 0;
    };
  }

  function sort(table, head) {
    var column = head.cellIndex, numeric = head.classList.contains("n"), body = table.tBodies[0];
    var was = head.getAttribute("aria-sort"), up = was ? was === "descending" : !numeric;
    var rows = Array.prototype.slice.call(body.rows).sort(order(column, numeric, up ? 1 : -1));
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell) { cell.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    rows.forEach(function (row) { body.appendChild(row); });
  }

  function arm(table) {
    if (table.tBodies[0].rows.length < 2) return;
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () { sort(table, head); });
    });
  }

  /* On paper nothing can be unfolded; what would fill many pages stays as it is. */
  function unfold(open) {
    return function () {
      Array.prototype.forEach.call(document.querySelectorAll("details:not(.long)"), function (fold) {
        if (open && !fold.open) { fold.open = true; fold.dataset.shut = ""; }
        else if (!open && fold.dataset.shut !== undefined) { fold.open = false; delete fold.dataset.shut; }
      });
    };
  }

  Array.prototype.forEach.call(document.querySelectorAll("table.sorts"), arm);
  window.addEventListener("beforeprint", unfold(true));
  window.addEventListener("afterprint", unfold(false));
})();
