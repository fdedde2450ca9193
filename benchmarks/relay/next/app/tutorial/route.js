// The hand-written route of the tutorial: the provider's stream read with fetch, one event for each piece of text.
export const dynamic = "force-dynamic";

export async function POST(request) {
  const { messages } = await request.json();
  const response = await fetch(`${process.env.PROVIDER_URL}/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer sk-bench" },
    body: JSON.stringify({ model: "bench", stream: true, messages }),
    signal: request.signal,
  });
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = "";
  const body = response.body.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        rest += decoder.decode(chunk, { stream: true });
        const lines = rest.split("\n");
        rest = lines.pop();
        for (const line of lines) {
          if (!line.startsWith("data: ")) continue;
          const data = line.slice(6);
          if (data === "[DONE]") {
            controller.enqueue(encoder.encode("data: [DONE]\n\n"));
            continue;
          }
          const text = JSON.parse(data).choices[0]?.delta?.content;
          if (text) controller.enqueue(encoder.encode(`data: ${text}\n\n`));
        }
      },
    }),
  );
  return new Response(body, {
    headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform" },
  });
}
