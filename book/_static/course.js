// What is wider than its place scrolls sideways; the keyboard must reach it too. The theme sees to
// code and tables, this to formulas and figures.
const WIDE = 'mjx-container[display="true"], figure.course-figure';

function reachable() {
  for (const element of document.querySelectorAll(WIDE)) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

// For the keyboard "On this page" comes before the page and not after it; course.css keeps it at
// the right. A button beside every piece of code is no stop on the way: text can be selected.
function orderStops() {
  const contents = document.getElementById("pst-secondary-sidebar");
  contents?.parentNode.prepend(contents);
  for (const button of document.querySelectorAll(".copybtn")) button.tabIndex = -1;
}

window.addEventListener("load", async () => {
  orderStops();
  await window.MathJax?.startup?.promise;
  reachable();
  window.addEventListener("resize", reachable);
});
