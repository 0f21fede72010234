// Refreshes the parts of a page that are marked as live, every five seconds while somebody looks.
// Nothing else needs this script.
"use strict";

const SECONDS = 5;
const button = document.getElementById("live");
const stale = document.getElementById("stale");

function wanted() {
  return button.getAttribute("aria-pressed") === "true" && !document.hidden;
}

// Somebody types there or has something open or chosen: it is left alone.
function isInUse(part) {
  const fields = [...part.querySelectorAll("input:not([type=hidden])")];
  return part.contains(document.activeElement) || fields.some((one) => one.value !== one.defaultValue);
}

function exchange(part, fresh) {
  for (const open of part.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  part.replaceWith(fresh);
}

function tell(words) {
  stale.textContent = words;
  stale.hidden = !words;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
  if (answer.redirected) {
    setLive(false);
    tell("You are logged out. Load the page anew to log in.");
    return;
  }
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const same = fresh.getElementById(part.id);
    if (same && !isInUse(part)) exchange(part, same);
  }
  tell("");
}

async function tick() {
  try {
    if (wanted()) await refresh();
  } catch {
    tell("The service does not answer; what you see is not the latest.");
  }
  setTimeout(tick, SECONDS * 1000);
}

function setLive(on) {
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? "Live" : "Still";
}

if (document.querySelector("main [data-live]")) {
  button.hidden = false;
  setLive(localStorage.getItem("live") !== "false");
  button.addEventListener("click", () => {
    setLive(button.getAttribute("aria-pressed") !== "true");
    localStorage.setItem("live", button.getAttribute("aria-pressed"));
  });
  setTimeout(tick, SECONDS * 1000);
}
