// The React hooks, rendered without a browser.

import { createElement } from "react";
import { create } from "react-test-renderer";
import { outcome, textOf } from "./outcome.js";

const MODULES = { ai2: "ai2/react", ai3: "ai3/react", react4x: "react4x", react: "@ai-sdk/react" };

async function options(client, job, seen) {
  const shared = { id: job.id, api: job.url, headers: job.headers, body: job.body, onError: seen.onError };
  if (client === "ai3") return { ...shared, initialMessages: job.messages ?? [], streamMode: job.mode };
  if (client !== "react") return { ...shared, initialMessages: job.messages ?? [], streamProtocol: job.mode };
  const { DefaultChatTransport, TextStreamChatTransport } = await import("ai");
  const Transport = job.mode === "text" ? TextStreamChatTransport : DefaultChatTransport;
  const transport = new Transport({ api: job.url, headers: job.headers, body: job.body });
  return { id: job.id, messages: job.messages, transport, ...seen };
}

function mount(useHook, given) {
  let current;
  function Probe() {
    current = useHook(given);
    return null;
  }
  const root = create(createElement(Probe));
  return { get: () => current, unmount: () => root.unmount() };
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

async function settled(mounted) {
  do await pause();
  while (mounted.get().isLoading || ["submitted", "streaming"].includes(mounted.get().status));
}

async function stopAt(mounted, characters) {
  const length = () => {
    const hook = mounted.get();
    return hook.messages ? textOf(hook.messages.findLast((each) => each.role === "assistant")).length : hook.completion.length;
  };
  while (length() < characters) await pause();
  mounted.get().stop();
}

function act(client, hook, step) {
  if (step.complete !== undefined) return hook.complete(step.complete);
  if (step.resume) return (hook.resumeStream ?? hook.experimental_resume)();
  const regenerate = typeof step.regenerate === "string" ? { messageId: step.regenerate } : undefined;
  if (client === "react") {
    if (step.regenerate) return hook.regenerate(regenerate);
    return hook.sendMessage({ text: step.text ?? step.send, messageId: step.edit });
  }
  return step.regenerate ? hook.reload() : hook.append({ role: "user", content: step.send });
}

export async function drive(client, job) {
  const { useChat, useCompletion } = await import(MODULES[client]);
  const seen = { errors: [], data: [], finishes: [] };
  const callbacks = {
    onError: (error) => seen.errors.push(error.message),
    onData: (part) => seen.data.push(part),
    onFinish: (event) => seen.finishes.push(event),
  };
  const completes = job.steps.some((step) => step.complete !== undefined);
  const given = completes
    ? { id: job.id, api: job.url, headers: job.headers, body: job.body, streamProtocol: job.mode, onError: callbacks.onError }
    : await options(client, job, callbacks);
  if (completes && client === "ai3") given.streamMode = job.mode;
  const mounted = mount(completes ? useCompletion : useChat, given);
  await pause();
  let stopping;
  for (const step of job.steps) {
    if (step.stopAt) {
      stopping = stopAt(mounted, step.stopAt);
      continue;
    }
    await Promise.resolve(act(client, mounted.get(), step)).catch((error) => seen.errors.push(error.message));
    await settled(mounted);
    await stopping;
  }
  const result = outcome(mounted.get(), seen);
  mounted.unmount();
  return result;
}
