// The observer's side: consent, viewing check, questions one after the other. An answer is kept in the browser until the
// server has said that it is on its disk, and it is sent again with the same key until then.
"use strict";

const BLANK_MS = 250; // grey between two questions
const LOW_STEPS = 2; // fewer visible steps than that: the screen is too dark, or the room too bright
const link = location.pathname.split("/")[2];
const session = randomKey();
const begun = performance.now();

let token = new URLSearchParams(location.hash.slice(1)).get("k") || recall("token");
let facts = null;
let place = null; // {answered, total, trials}
let now = null; // the question on the screen
let found = {}; // by the viewing check
let rested = begun;

// ---- small things ---------------------------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function recall(name) {
  try { return localStorage.getItem(`mien:${link}:${name}`); } catch { return null; }
}

function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`mien:${link}:${name}`);
    else localStorage.setItem(`mien:${link}:${name}`, value);
  } catch { /* a browser that keeps nothing: the link of one's own still works */ }
}

function say(name, text) {
  for (const element of document.querySelectorAll(`[data-text="${name}"]`)) element.textContent = text;
}

function sayParagraphs(name, text) {
  for (const element of document.querySelectorAll(`[data-paragraphs="${name}"]`)) {
    element.replaceChildren(...text.trim().split(/\n\s*\n/).map((words) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = words.replace(/\s*\n\s*/g, " ");
      return paragraph;
    }));
  }
}

function show(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  scrollTo(0, 0);
  const heading = $(id).querySelector("h1");
  if (heading && id !== "trial") heading.focus();
}

function fail(message) {
  say("problem", message);
  show("problem");
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// ---- the server -----------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message, waitSeconds) {
    super(message);
    this.status = status;
    this.waitSeconds = waitSeconds;
  }
}

async function ask(method, path, body) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const reply = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const content = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    throw new Refused(reply.status, content.detail || `The server answered ${reply.status}.`, Number(reply.headers.get("retry-after")));
  }
  return content;
}

// Again and again, until there is an answer that trying again would not change.
async function insist(method, path, body) {
  for (let wait = 500; ; wait = Math.min(2 * wait, 10000)) {
    try {
      const content = await ask(method, path, body);
      note("");
      return content;
    } catch (error) {
      const passing = !(error instanceof Refused) || error.status >= 500 || [408, 429].includes(error.status);
      if (!passing) throw error;
      note("No connection. Your answer is kept here and is sent again.");
      await sleep(Math.max(wait, 1000 * (error.waitSeconds || 0)));
    }
  }
}

const loaded = new Map(); // address -> promise of an address in memory

function load(picture) {
  if (!loaded.has(picture.url)) {
    const waiting = fetchPicture(picture.url);
    waiting.catch(() => loaded.delete(picture.url));
    loaded.set(picture.url, waiting);
  }
  return loaded.get(picture.url);
}

async function fetchPicture(url) {
  for (let wait = 500, tries = 0; ; wait *= 2, tries++) {
    try {
      const reply = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      if (reply.ok) return URL.createObjectURL(await reply.blob());
      if (reply.status === 404) throw new Refused(404, "A picture of this study is missing. Please tell whoever sent you the link.");
    } catch (error) {
      if (error instanceof Refused || tries > 6) throw error;
    }
    note("Waiting for the picture.");
    await sleep(wait);
  }
}

function forgetPictures(trials) {
  const needed = new Set(trials.flatMap((trial) => trial.pictures.map((picture) => picture.url)));
  for (const [url, waiting] of loaded) {
    if (loaded.size <= 40) return;
    if (needed.has(url)) continue;
    loaded.delete(url);
    waiting.then((address) => URL.revokeObjectURL(address)).catch(() => {});
  }
}

// ---- beginning ------------------------------------------------------------------------------------------------------

async function begin() {
  try {
    facts = await known() || await ask("GET", `/api/study/${link}`);
  } catch (error) {
    return fail(error instanceof Refused ? error.message : "The server cannot be reached. Is this computer online?");
  }
  document.title = facts.title;
  say("title", facts.title);
  sayParagraphs("consent", facts.consent);
  sayParagraphs("instructions", facts.instructions);
  say("length", `${facts.total} questions. You can pause at any time.`);
  say("code", facts.code || "");
  if (!facts.mobile && isTelephone()) return show("device");
  if (!token) return show("welcome");
  keepToken();
  if (!facts.checked) return checkScreen();
  place = facts;
  await sendKept();
  ready();
}

async function known() {
  if (!token) return null;
  try {
    return await ask("GET", "/api/session");
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401) throw error;
    token = null;
    remember("token", null);
    history.replaceState(null, "", location.pathname);
    return null;
  }
}

function keepToken() {
  remember("token", token);
  history.replaceState(null, "", `#k=${token}`);
  $("own-link").value = location.href;
}

async function join() {
  const joined = await ask("POST", `/api/study/${link}/observers`, { consent: true, wording: facts.wording });
  token = joined.token;
  say("code", joined.code);
  keepToken();
  checkScreen();
}

function isTelephone() {
  const small = Math.min(screen.width, screen.height) < 600;
  return /Mobi|Android|iPhone|iPad/i.test(navigator.userAgent) || (small && matchMedia("(pointer: coarse)").matches);
}

// ---- viewing check --------------------------------------------------------------------------------------------------

function checkScreen() {
  show("screen");
  measureScreen();
  addEventListener("resize", measureScreen);
}

function neededWindow() {
  const across = facts.method !== "acr" && facts.arrangement === "side" ? 2 : 1;
  const exact = facts.show === "exact" ? facts.largest.map((px) => Math.ceil(px / devicePixelRatio)) : [0, 0];
  const [width, height] = exact[0] ? [across * (exact[0] + 16), exact[1] + 190] : [0, 0];
  return [Math.max(width, facts.min_width), Math.max(height, facts.min_height)];
}

function measureScreen() {
  const [width, height] = neededWindow();
  say("window", `${innerWidth} × ${innerHeight}`);
  say("needed", `${width} × ${height}`);
  $("needed-row").hidden = !width && !height;
  const small = innerWidth < width || innerHeight < height;
  const hopeless = screen.width < width || screen.height < height;
  say("screen-warning", !small ? "" : hopeless
    ? "This screen is too small for the pictures of this study. If you have a larger one, open your link there."
    : "The window is too small for the pictures of this study. Make it larger.");
  document.querySelector("[data-do=screen-done]").disabled = small;
}

function screenDone() {
  removeEventListener("resize", measureScreen);
  found = {
    width: innerWidth, height: innerHeight, screen_width: screen.width, screen_height: screen.height,
    ratio: devicePixelRatio, touch: isTelephone(),
  };
  if (facts.colour_plates) checkPlates(0);
  else if (facts.brightness) checkBrightness();
  else checkDone();
}

function checkPlates(count) {
  if (count === 0) Object.assign(found, { plates_asked: PLATES.length, plates_right: 0 });
  if (count === PLATES.length) return facts.brightness ? checkBrightness() : checkDone();
  const number = drawPlate($("plate"), PLATES[count]);
  const form = $("plate-form");
  say("plate-count", `${count + 1} of ${PLATES.length}. A short look is enough; this is no medical test.`);
  form.number.value = "";
  const next = (answer) => {
    if (answer === String(number)) found.plates_right += 1;
    checkPlates(count + 1);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    if (form.number.value) next(form.number.value);
    else form.number.focus();
  };
  document.querySelector("[data-do=plate-none]").onclick = () => next("");
  if (count === 0) show("plates");
  form.number.focus();
}

function checkBrightness() {
  for (const name of ["dark", "bright"]) {
    drawSteps($(name), name === "dark");
    const counts = document.querySelector(`[data-counts=${name}]`);
    counts.replaceChildren(...[0, 1, 2, 3, 4, 5].map((n) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name, value: n, required: true });
      label.append(input, ` ${n}`);
      return label;
    }));
  }
  let warned = false;
  $("brightness-form").onsubmit = (event) => {
    event.preventDefault();
    found.dark_seen = Number(event.target.dark.value);
    found.bright_seen = Number(event.target.bright.value);
    if (!warned && Math.min(found.dark_seen, found.bright_seen) < LOW_STEPS) {
      warned = true;
      say("brightness-warning", found.dark_seen < LOW_STEPS
        ? "That is few. Make the screen brighter or the room darker, and count again."
        : "That is few. Lower the contrast or the brightness of the screen a little, and count again.");
      return;
    }
    checkDone();
  };
  show("brightness");
}

async function checkDone() {
  try {
    place = await ask("POST", "/api/session/check", found);
    facts.checked = true;
    ready();
  } catch (error) {
    fail(error.message);
  }
}

// ---- questions ------------------------------------------------------------------------------------------------------

const PAIR = () => facts.method === "pairwise";
const FLICKER = () => facts.method !== "acr" && facts.arrangement === "flicker";

// What may be answered: [answer, words, key on the keyboard, how the key is shown].
function answers() {
  if (!PAIR()) {
    return Object.keys(facts.grades).sort().map((grade) => [grade, facts.grades[grade], grade, grade]);
  }
  const names = FLICKER() ? ["First", "Second"] : ["Left", "Right"];
  const sides = [["left", names[0], "ArrowLeft", "←"], ["right", names[1], "ArrowRight", "→"]];
  return facts.ties ? [sides[0], ["tie", "No difference", "ArrowDown", "↓"], sides[1]] : sides;
}

function ready(why) {
  if (!place.trials.length) return finish();
  const fresh = place.answered === 0;
  say("ready-kicker", why || (fresh ? "Ready" : `${place.answered} of ${place.total} done`));
  say("ready-title", fresh ? facts.title : why ? "Paused" : "Welcome back");
  const list = document.createElement("dl");
  list.className = "keys";
  const keys = answers().map(([, words, , key]) => [key, words]);
  if (FLICKER()) keys.push(["Space", "Switch between the two pictures"]);
  for (const [key, words] of [...keys, ["P", "Pause"]]) {
    const [term, what] = [document.createElement("dt"), document.createElement("dd")];
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    what.textContent = words;
    list.append(term, what);
  }
  $("keys").replaceChildren(list);
  now = null;
  show("ready");
  document.querySelector("[data-do=go]").focus();
  for (const trial of place.trials.slice(0, 2)) trial.pictures.forEach((picture) => load(picture).catch(() => {}));
}

function makeAnswers() {
  $("answers").replaceChildren(...answers().map(([answer, words, , key]) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.answer = answer;
    button.append(Object.assign(document.createElement("kbd"), { textContent: key }), ` ${words}`);
    button.onclick = () => vote(answer);
    return button;
  }));
}

async function next() {
  const trial = place.trials[0];
  if (!trial) return finish();
  if (facts.break_minutes && performance.now() - rested > 60000 * facts.break_minutes) {
    rested = performance.now();
    return ready("Time for a break? Look at something else for a minute, or go on at once.");
  }
  $("stage").className = FLICKER() && trial.pictures.length === 2 ? "flicker" : "";
  now = { trial, open: false, front: 0, views: 1, seen: new Set([0]), key: randomKey(), since: 0 };
  const mine = now;
  tellProgress(trial);
  try {
    const [addresses] = await Promise.all([Promise.all(trial.pictures.map(load)), sleep(BLANK_MS)]);
    if (now !== mine) return;
    await lay(trial, addresses);
  } catch (error) {
    return fail(error.message);
  }
  if (now !== mine) return;
  note("");
  reveal(trial);
  forgetPictures(place.trials);
  for (const later of place.trials.slice(1, 4)) later.pictures.forEach((picture) => load(picture).catch(() => {}));
}

function tellProgress(trial) {
  const question = PAIR() ? (FLICKER() ? "Which of the two looks better?" : "Which picture looks better?")
    : facts.method === "dcr" ? "How does the version differ from the reference?" : "How good does this picture look?";
  $("ask").textContent = question;
  say("count", `${place.answered + 1} of ${place.total}`);
  $("progress").max = place.total;
  $("progress").value = place.answered;
  $("practice").hidden = trial.role !== "training";
  $("announce").textContent = `Question ${place.answered + 1} of ${place.total}. ${question}`;
  enable(false);
}

// Puts the pictures where they belong, invisible, and waits until each can be painted at once.
async function lay(trial, addresses) {
  const panes = [...document.querySelectorAll(".pane")];
  panes.forEach((pane, i) => { pane.hidden = i >= trial.pictures.length; });
  const captions = facts.method === "dcr" ? ["Reference", "Version"] : FLICKER() ? ["First", "Second"] : ["", ""];
  now.media = trial.pictures.map((picture, i) => {
    const isVideo = picture.mime.startsWith("video/");
    const element = document.createElement(isVideo ? "video" : "img");
    if (isVideo) Object.assign(element, { muted: true, playsInline: true, preload: "auto" });
    else element.alt = ["Picture", "Picture on the left", "Picture on the right"][trial.pictures.length - 1 && i + 1];
    element.src = addresses[i];
    panes[i].querySelector("figcaption").textContent = captions[i];
    panes[i].querySelector(".place").replaceChildren(element);
    return element;
  });
  await Promise.all(now.media.map(painted));
  fit();
}

function painted(element) {
  if (element.tagName === "IMG") return element.decode();
  return new Promise((done, failed) => {
    if (element.readyState >= 3) done();
    element.oncanplay = done;
    element.onerror = () => failed(new Error("This browser cannot play a video of this study. Try another browser."));
  });
}

// One scale for all pictures of a question; every picture begins on a whole pixel of the screen.
function fit() {
  if (!now || !now.media) return;
  const ratio = devicePixelRatio;
  const spaces = now.media.map((element) => element.parentElement.getBoundingClientRect());
  const sizes = now.media.map((e) => [e.naturalWidth || e.videoWidth, e.naturalHeight || e.videoHeight]);
  const scale = facts.show === "exact" ? 1
    : Math.min(1, ...sizes.map(([w, h], i) => Math.min((spaces[i].width * ratio) / w, (spaces[i].height * ratio) / h)));
  now.scale = scale;
  now.media.forEach((element, i) => {
    const [width, height] = sizes[i].map((px) => Math.max(1, Math.round(px * scale)) / ratio);
    const { left, top, width: across, height: down } = spaces[i];
    Object.assign(element.style, {
      width: `${width}px`,
      height: `${height}px`,
      left: `${Math.round((left + (across - width) / 2) * ratio) / ratio - left}px`,
      top: `${Math.round((top + (down - height) / 2) * ratio) / ratio - top}px`,
    });
  });
  const cut = facts.show === "exact" && sizes.some(([w, h], i) => w > spaces[i].width * ratio + 1 || h > spaces[i].height * ratio + 1);
  note(cut ? "The window is too small for this picture. Make it larger, or press F11." : "");
  now.cut = cut;
  if (now.open) enable(!cut && allSeen());
}

function reveal(trial) {
  const isTrap = trial.role === "trap";
  $("card").hidden = !isTrap;
  if (isTrap) {
    const [, words, , key] = answers().find(([answer]) => answer === trial.expected);
    $("card-text").textContent = `To show that you are reading: please answer “${words}” (${key}).`;
    document.querySelectorAll(".pane").forEach((pane) => { pane.hidden = true; });
    $("announce").textContent = $("card-text").textContent;
  }
  const videos = (now.media || []).filter((element) => element.tagName === "VIDEO");
  now.videos = videos;
  now.played = !videos.length;
  $("replay").hidden = !videos.length;
  $("switch").hidden = !$("stage").classList.contains("flicker");
  front(0);
  $("stage").classList.add("shown");
  requestAnimationFrame(() => {
    if (!now || now.trial !== trial) return;
    now.since = performance.now();
    now.open = true;
    if (videos.length) play();
    enable(!now.cut && allSeen());
  });
}

function play() {
  const playing = now;
  playing.videos.forEach((video) => {
    video.currentTime = 0;
    video.play().catch(() => note("Press “Play again” to start the video."));
    video.onended = () => {
      if (now !== playing || !playing.videos.every((each) => each.ended)) return;
      playing.played = true;
      enable(!playing.cut && allSeen());
    };
  });
}

function replay() {
  if (!now || !now.open || !now.videos.length) return;
  if (now.played) now.views += 1;
  play();
}

function front(which) {
  now.front = which;
  now.seen.add(which);
  document.querySelectorAll(".pane").forEach((pane, i) => pane.classList.toggle("front", i === which));
}

function switchFront() {
  if (!now || !now.open || !$("stage").classList.contains("flicker")) return;
  now.views += 1;
  front(1 - now.front);
  $("announce").textContent = now.front ? "Second picture" : "First picture";
  enable(!now.cut && allSeen());
}

function allSeen() {
  return now.played && (!$("stage").classList.contains("flicker") || now.seen.size === 2);
}

function enable(on) {
  for (const button of $("answers").children) {
    button.disabled = !on;
    button.removeAttribute("aria-pressed");
  }
  if (now) now.votable = on;
}

function note(text) {
  $("note").textContent = text;
  $("note").hidden = !text;
}

// ---- answers --------------------------------------------------------------------------------------------------------

async function vote(answer) {
  if (!now || !now.votable) return;
  now.votable = false;
  const role = now.trial.role;
  for (const button of $("answers").children) button.setAttribute("aria-pressed", button.dataset.answer === answer);
  const ballot = {
    trial: now.trial.id, key: now.key, answer, response_ms: Math.round(performance.now() - now.since), views: now.views,
    session, width: innerWidth, height: innerHeight, ratio: devicePixelRatio, shown_scale: now.scale || null,
  };
  remember("answer", JSON.stringify(ballot));
  if (!await send(ballot)) return;
  $("stage").classList.remove("shown");
  $("card").hidden = true;
  if (now === null) return; // paused meanwhile
  if (role === "training" && place.trials.length && place.trials[0].role !== "training") {
    return ready("Practice is over. From now on your answers count.");
  }
  next();
}

// True when there is something to go on with.
async function send(ballot) {
  try {
    place = await insist("POST", "/api/session/votes", ballot);
  } catch (error) {
    if (error.status !== 409 && error.status !== 422) {
      fail(error.message);
      return false;
    }
    place = await insist("GET", "/api/session"); // the question is gone; the next one comes
  }
  remember("answer", null);
  return true;
}

// An answer that was on its way when the page was closed.
async function sendKept() {
  const kept = recall("answer");
  if (!kept) return;
  try { await send(JSON.parse(kept)); } catch { remember("answer", null); }
}

function pause() {
  if (!now) return;
  (now.videos || []).forEach((video) => video.pause());
  ready(`${place.answered} of ${place.total} done. Come back on this link whenever you like.`);
}

function finish() {
  now = null;
  show("end");
}

// ---- hands ----------------------------------------------------------------------------------------------------------

const ACTIONS = {
  "reload": () => location.reload(),
  "screen-done": screenDone,
  "go": () => { rested = performance.now(); makeAnswers(); show("trial"); next(); },
  "switch": switchFront,
  "replay": replay,
  "pause": pause,
  "copy": copyLink,
};

function copyLink() {
  $("own-link").select();
  const copied = document.execCommand("copy"); // works on pages without https, too
  $("announce").textContent = copied ? "Copied" : "Select the link and copy it";
}

document.addEventListener("click", (event) => {
  const action = event.target.closest("[data-do]");
  if (action && ACTIONS[action.dataset.do]) ACTIONS[action.dataset.do]();
});

document.addEventListener("keydown", (event) => {
  if ($("trial").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const answer = answers().find(([, , wanted]) => wanted === key);
  if (answer) vote(answer[0]);
  else if (key === " " && !$("switch").hidden) switchFront();
  else if (key === "r") replay();
  else if (key === "p" || key === "Escape") pause();
  else return;
  event.preventDefault();
});

addEventListener("resize", fit);
addEventListener("beforeunload", (event) => { if (recall("answer")) event.preventDefault(); });

$("agree").addEventListener("submit", async (event) => {
  event.preventDefault();
  try { await join(); } catch (error) { fail(error instanceof Refused ? error.message : "The server cannot be reached."); }
});

begin();
