// Errors between the page and the site: no connection, or a response that is not from the site.
"use strict";

// `kind` names a template of the page: offline, network or server.
function showError(kind) {
  query("#alert").replaceChildren(query(`#failure-${kind}`).content.cloneNode(true));
}

function clearErrors(...codes) {
  for (const code of codes) query(`#alert [data-code="${code}"]`)?.remove();
}

// Error pages of a proxy, and of the site itself, are replaced by a note. Refusals of the site have a `data-code`.
function replaceErrorPage({ detail: { ctx } }) {
  if (ctx.response.status < 400 || ctx.hx?.redirect || ctx.text.includes("data-code")) return;
  ctx.text = query("#failure-server").innerHTML;
  ctx.target = "#alert";
  ctx.swap = "innerHTML";
}

function showConnectionLost(event, isLost) {
  const article = event.target.closest?.("article");
  const note = article && query(".connection-lost", article);
  if (note) note.hidden = !isLost;
}

document.addEventListener("htmx:after:request", replaceErrorPage);
document.addEventListener("htmx:error", ({ target, detail }) => {
  if (detail.ctx && target.matches?.("form")) showError(navigator.onLine ? "network" : "offline");
});
document.addEventListener("htmx:sse:after:connection", (event) => showConnectionLost(event, false));
document.addEventListener("htmx:sse:before:connection", (event) => {
  if (event.detail.connection.attempt > 0) showConnectionLost(event, true);
});
addEventListener("offline", () => showError("offline"));
addEventListener("online", () => clearErrors("offline", "network"));
