// What the viewing check draws: colour plates and steps near black and white. Nothing is loaded from anywhere.
"use strict";

const PLATES = ["control", "protan", "deutan"];

// Colours that someone without one kind of cone cannot tell apart differ along one line of linear RGB. The weights are
// those of Viénot, Brettel and Mollon (1999): red and green of that sum, and blue as below, look the same to them.
const CONFUSION = {
  protan: [0.88762, -0.11238, -0.00401],
  deutan: [0.70725, -0.29275, 0.02234],
};

function plateColour(kind, inFigure) {
  const light = 0.6 + 0.8 * Math.random(); // lightness must give nothing away
  if (kind === "control") {
    return (inFigure ? [0.02, 0.05, 0.22] : [0.55, 0.5, 0.3]).map((v) => encode(v * light));
  }
  const along = inFigure ? 0.16 : -0.16;
  return [0.34, 0.3, 0.12].map((v, i) => encode(v * light + along * light * CONFUSION[kind][i]));
}

function encode(linear) {
  const v = Math.min(1, Math.max(0, linear));
  return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
}

// A disc of dots; those on the digits have other colours. Returns the number that is on it.
function drawPlate(canvas, kind) {
  const number = 10 + Math.floor(90 * Math.random());
  const size = canvas.width;
  const inside = digitMask(String(number), size);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, size, size);
  for (const [x, y, radius] of dots(size)) {
    const [r, g, b] = plateColour(kind, inside(x, y));
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }
  return number;
}

function digitMask(text, size) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.font = `900 ${size * 0.56}px Arial, Helvetica, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, size / 2, size * 0.53);
  const alpha = context.getImageData(0, 0, size, size).data;
  return (x, y) => alpha[4 * (Math.floor(y) * size + Math.floor(x)) + 3] > 127;
}

function dots(size) {
  const placed = [];
  for (let tries = 0; tries < 9000; tries++) {
    const radius = size * (tries < 900 ? 0.02 : tries < 3500 ? 0.014 : 0.009);
    const angle = 2 * Math.PI * Math.random();
    const away = Math.sqrt(Math.random()) * (size / 2 - radius);
    const [x, y] = [size / 2 + away * Math.cos(angle), size / 2 + away * Math.sin(angle)];
    const free = placed.every(([a, b, r]) => (a - x) ** 2 + (b - y) ** 2 > (r + radius + 1) ** 2);
    if (free) placed.push([x, y, radius]);
  }
  return placed;
}

const STEPS = [24, 16, 12, 8, 4]; // of 255, away from black or white

function drawSteps(canvas, isDark) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.fillStyle = isDark ? "#000" : "#fff";
  context.fillRect(0, 0, width, height);
  STEPS.forEach((step, i) => {
    const v = isDark ? step : 255 - step;
    context.fillStyle = `rgb(${v} ${v} ${v})`;
    const side = height * 0.6;
    context.fillRect(((i + 0.5) * width) / STEPS.length - side / 2, (height - side) / 2, side, side);
  });
}
