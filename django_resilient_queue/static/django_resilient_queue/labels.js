/*
 * Gives each cell of a list the name of its column, which is shown where there is no room for columns
 * beside each other and a row is a card. Without the script such a list is pushed aside to be read.
 */
const table = document.getElementById("result_list");

if (table) {
  const names = [...table.tHead.rows[0].cells].map(
    (head) => (head.querySelector(".text") ?? head).textContent.trim(),
  );
  for (const row of table.tBodies[0].rows) {
    [...row.cells].forEach((cell, place) => {
      if (!cell.matches("th, .action-checkbox")) cell.dataset.label = names[place] ?? "";
    });
  }
  table.closest(".results")?.classList.add("drq-rows");
}
