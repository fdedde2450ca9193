// The AI SDK's own way: streamText, answered as a UI message stream.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { convertToModelMessages, streamText } from "ai";

export const dynamic = "force-dynamic";

const provider = createOpenAICompatible({ name: "bench", baseURL: process.env.PROVIDER_URL, apiKey: "sk-bench" });

export async function POST(request) {
  const { messages } = await request.json();
  const result = streamText({
    model: provider("bench"),
    messages: await convertToModelMessages(messages),
    abortSignal: request.signal,
  });
  return result.toUIMessageStreamResponse();
}
