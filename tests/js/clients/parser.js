// Two readers of server-sent events: a conforming parser, and one that splits and trims as tutorials do.

import { createParser } from "eventsource-parser";

async function request(job) {
  const response = await fetch(job.url, {
    method: job.body ? "POST" : "GET",
    headers: { "Content-Type": "application/json", ...job.headers },
    body: job.body && JSON.stringify(job.body),
  });
  return { response, reader: response.body.getReader(), decoder: new TextDecoder() };
}

async function conforming(job) {
  const { response, reader, decoder } = await request(job);
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { status: response.status, events };
    parser.feed(decoder.decode(value, { stream: true }));
  }
}

async function tutorial(job) {
  const { response, reader, decoder } = await request(job);
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { status: response.status, text, ended: false };
    for (const line of decoder.decode(value).split("\n")) {
      if (!line.startsWith("data: ")) continue;
      const data = line.replace("data: ", "").trim();
      if (data === "[DONE]") return { status: response.status, text, ended: true };
      text += data;
    }
  }
}

export async function drive(client, job) {
  try {
    return await (client === "tutorial" ? tutorial(job) : conforming(job));
  } catch (error) {
    return { error: String(error.cause ?? error.message) };
  }
}
