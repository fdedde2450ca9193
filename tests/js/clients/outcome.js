// What a client ended up with, in one shape for all generations.

export function textOf(message) {
  if (!message) return "";
  if (!message.parts || message.content) return message.content ?? "";
  return message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
}

function reasoningOf(message) {
  return (message.parts ?? []).filter((part) => part.type === "reasoning").map((part) => part.text ?? part.reasoning).join("");
}

export function outcome(hook, seen) {
  const messages = (hook.messages ?? []).map((message) => ({
    id: message.id,
    role: message.role,
    text: textOf(message),
    reasoning: reasoningOf(message),
    metadata: message.metadata ?? message.annotations ?? null,
    states: (message.parts ?? []).map((part) => part.state ?? null),
  }));
  const answer = messages.findLast((message) => message.role === "assistant");
  const finish = seen.finishes.at(-1);
  return {
    text: hook.completion ?? answer?.text ?? "",
    answer: answer ?? null,
    messages,
    status: hook.status ?? null,
    error: hook.error?.message ?? seen.errors.at(-1) ?? null,
    statusCode: hook.error?.statusCode ?? null,
    data: seen.data,
    finishReason: finish?.finishReason ?? null,
    aborted: finish?.isAbort ?? null,
  };
}
