// What is wider than its place scrolls sideways; the keyboard must reach it too. The theme sees to
// code and tables, this to formulas and figures.
const WIDE = 'mjx-container[display="true"], figure.course-figure';

function reachable() {
  for (const element of document.querySelectorAll(WIDE)) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reachable();
  window.addEventListener("resize", reachable);
});
