// Drives one published client through the jobs on standard input and prints what each ended up with.
//
// Input: {"client": name, "jobs": [{"url", "id"?, "mode"?, "headers"?, "body"?, "messages"?, "steps": [...]}]}
// A step is {"send": text}, {"complete": text}, {"regenerate": messageId | true}, {"resume": true},
// {"edit": messageId, "text": text} or {"stopAt": characters}, which ends the step after it once so much text is there.
// Output: one result for each job, in order.

import { drive as chat } from "./clients/chat.js";
import { drive as hook } from "./clients/hook.js";
import { drive as parser } from "./clients/parser.js";

const DRIVERS = {
  "tutorial": parser,
  "eventsource-parser": parser,
  "ai2": hook,
  "ai3": hook,
  "react4x": hook,
  "ai5": chat,
  "ai6": chat,
  "ai": chat,
  "react": hook,
};

async function readInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

console.log = console.warn = console.error = () => {};
const { client, jobs } = await readInput();
const results = [];
for (const job of jobs) {
  results.push(await DRIVERS[client](client, { id: `chat-${results.length}`, steps: [], ...job }));
}
process.stdout.write(JSON.stringify(results), () => process.exit(0));
