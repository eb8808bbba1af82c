import type { FakeAccount } from "./accounts.ts";
import { serverError } from "./answers-refused.ts";
import { checkBody } from "./gate.ts";
import { play, type Sink } from "./play.ts";
import type { RecordedRequest } from "./recorder.ts";

/**
 * Answers one request for a response, over either transport. `known` are the response ids of this connection. Never
 * rejects.
 */
export async function respond(
	account: FakeAccount,
	request: RecordedRequest,
	sink: Sink,
	known: ReadonlySet<string> = new Set(),
): Promise<void> {
	account.requestCount += 1;
	try {
		const answer = checkBody(request, known) ?? (await account.takeAnswer(request));
		request.answer = answer.name;
		const refused = await play(answer, account.context(request), sink);
		if (refused !== undefined) account.noteRefusal(refused);
	} catch (error) {
		// A mistake in the answer function of a test must show up in what that test sees, not kill the server.
		request.answer = "threw";
		const message = `the scripted answer threw: ${error instanceof Error ? error.message : String(error)}`;
		if (request.status === undefined) await play(serverError(500, message), account.context(request), sink);
		else sink.reset();
	}
}
