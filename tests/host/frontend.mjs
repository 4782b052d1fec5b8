// Opens ComfyUI in a headless Chromium, loads workflows as a user would, and prints what the frontend makes of them.
//   node frontend.mjs PLAYWRIGHT_CORE CHROMIUM URL WORKFLOW.json...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";

const [playwright, executablePath, url, ...files] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
const complaints = [];
page.on("console", message => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
page.on("pageerror", error => complaints.push(String(error)));

await page.goto(url, { waitUntil: "domcontentloaded" });
await page.waitForFunction(() => window.app?.graph && window.app?.extensionManager, null, { timeout: 120000 });
await page.waitForFunction(() => "AnyoneInpaintPerson" in (window.LiteGraph?.registered_node_types ?? {}));

const workflows = {};
for (const file of files) {
  const document = JSON.parse(readFileSync(file, "utf8"));
  workflows[basename(file, ".json")] = await page.evaluate(async document => {
    await window.app.loadGraphData(document);
    const { output, workflow } = await window.app.graphToPrompt();
    return { output, workflow };
  }, document);
}
const titles = await page.evaluate(() => Object.fromEntries(Object.entries(window.LiteGraph.registered_node_types)
  .filter(([name]) => name.startsWith("Anyone")).map(([name, node]) => [name, node.title])));
await browser.close();
console.log(JSON.stringify({ workflows, titles, complaints }));
