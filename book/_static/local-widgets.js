// Tells RequireJS where this book keeps the scripts and icon fonts of its widgets, so that no page
// asks a CDN for them. Runs after require.js and before embed-amd.js.
(() => {
  const root = new URL(document.documentElement.dataset.content_root, document.baseURI);
  const folder = new URL("_static/vendor/widgets", root).href;
  const names = ["base", "controls", "output", "html-manager"];
  const paths = { anywidget: `${folder}/anywidget`, "@jupyter-widgets/html-manager/dist": folder };
  for (const name of names) paths[`@jupyter-widgets/${name}`] = `${folder}/${name}`;
  window.require.config({ paths });
})();
