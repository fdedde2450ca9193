// The state machine under the hooks of version 5 and later, without React.

import { outcome, textOf } from "./outcome.js";

function stateOf(messages) {
  return {
    status: "ready",
    error: undefined,
    messages: [...messages],
    pushMessage(message) {
      this.messages = [...this.messages, message];
    },
    popMessage() {
      this.messages = this.messages.slice(0, -1);
    },
    replaceMessage(index, message) {
      this.messages = this.messages.map((each, at) => (at === index ? message : each));
    },
    snapshot: (value) => structuredClone(value),
  };
}

async function stopAt(chat, characters) {
  while (textOf(chat.messages.findLast((each) => each.role === "assistant")).length < characters) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await chat.stop();
}

function act(chat, step) {
  if (step.resume) return chat.resumeStream();
  if (step.regenerate) return chat.regenerate(typeof step.regenerate === "string" ? { messageId: step.regenerate } : {});
  return chat.sendMessage({ text: step.text ?? step.send, messageId: step.edit });
}

export async function drive(client, job) {
  const { AbstractChat, DefaultChatTransport, TextStreamChatTransport } = await import(client);
  const Transport = job.mode === "text" ? TextStreamChatTransport : DefaultChatTransport;
  const seen = { errors: [], data: [], finishes: [] };
  class Chat extends AbstractChat {}
  const chat = new Chat({
    id: job.id,
    state: stateOf(job.messages ?? []),
    transport: new Transport({ api: job.url, headers: job.headers, body: job.body }),
    onError: (error) => seen.errors.push(error.message),
    onData: (part) => seen.data.push(part),
    onFinish: (event) => seen.finishes.push(event),
  });
  let stopping;
  for (const step of job.steps) {
    if (step.stopAt) {
      stopping = stopAt(chat, step.stopAt);
      continue;
    }
    await act(chat, step);
    await stopping;
  }
  return outcome(chat, seen);
}
