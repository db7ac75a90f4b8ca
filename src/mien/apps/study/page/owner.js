// The owner's side. The token is in the fragment of the address, which is never sent, and in this page's memory.
"use strict";

const REFRESH_MS = 5000;
let token = decodeURIComponent(location.hash.slice(1));
const $ = (id) => document.getElementById(id);

async function ask(method, path, body) {
  const headers = { authorization: `Bearer ${token}`, ...(body ? { "content-type": "application/json" } : {}) };
  const reply = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).detail || `The server answered ${reply.status}.`);
  return reply;
}

async function refresh() {
  if (!token) return enter("");
  try {
    tell(await (await ask("GET", "/api/owner")).json());
    return true;
  } catch (error) {
    return enter(error.message);
  }
}

function enter(why) {
  $("why").textContent = why;
  $("problem").hidden = false;
  $("study").hidden = true;
  return false;
}

function tell(study) {
  $("problem").hidden = true;
  $("study").hidden = false;
  document.title = $("title").textContent = study.title;
  const scenes = study.scenes === 1 ? "1 scene" : `${study.scenes} scenes`;
  $("method").textContent = `${study.method}, ${study.items} items in ${scenes}`;
  $("votes").textContent = study.votes;
  $("spread").textContent = study.votes_of_item.join(" to ");
  $("people").textContent = study.observers.length;
  $("state").textContent = study.open ? "open" : "closed";
  $("toggle").textContent = study.open ? "Close the study" : "Open it again";
  $("toggle").onclick = async () => tell(await (await ask("POST", "/api/owner/open", { open: !study.open })).json());
  $("link").value = location.origin + study.link;
  if (!$("files").children.length) $("files").append(...study.files.map(fileButton));
  $("observers").replaceChildren(...study.observers.map(row));
}

function row(person) {
  const { check } = person;
  const cells = [
    person.observer,
    `${person.answered} of ${person.total}`,
    person.traps ? `${person.traps_passed} of ${person.traps}` : "",
    check.plates_asked ? `${check.plates_right} of ${check.plates_asked}` : "",
    check.dark_seen === undefined ? "" : `${check.dark_seen}, ${check.bright_seen}`,
    check.width ? `${check.width} × ${check.height} (${check.ratio})` : "",
    person.last ? new Date(person.last).toLocaleString() : "",
  ];
  const line = document.createElement("tr");
  line.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return line;
}

function fileButton(name) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
  button.onclick = async () => {
    const address = URL.createObjectURL(await (await ask("GET", `/api/owner/files/${name}`)).blob());
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  };
  return button;
}

$("copy").onclick = () => { $("link").select(); document.execCommand("copy"); };
$("enter").onsubmit = (event) => {
  event.preventDefault();
  token = event.target.token.value.trim();
  refresh();
};

refresh();
setInterval(() => { if (!$("study").hidden && !document.hidden) refresh(); }, REFRESH_MS);
