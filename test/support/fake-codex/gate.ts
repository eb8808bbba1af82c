import type { FakeAccount } from "./accounts.ts";
import type { RefusalAnswer } from "./answer.ts";
import { previousResponseNotFound, refuse, unauthorized } from "./answers-refused.ts";
import type { RecordedRequest } from "./recorder.ts";
import type { TokenLedger } from "./tokens.ts";

/** The bearer token of a request. */
export function bearerOf(headers: Readonly<Record<string, string>>): string | undefined {
	return /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
}

/** Checks token and account header as the backend does on every request and handshake. */
export function checkAccess(
	headers: Readonly<Record<string, string>>,
	ledger: TokenLedger,
	accountOf: (name: string) => FakeAccount,
): FakeAccount | RefusalAnswer {
	const { state, account: name } = ledger.access(bearerOf(headers) ?? "");
	if (name === undefined || state === "unknown") return refuse(401, { detail: "Unauthorized" });
	if (state === "expired") return unauthorized("token_expired");
	if (state === "revoked") return unauthorized("token_invalidated");
	const account = accountOf(name);
	if (headers["chatgpt-account-id"] !== account.accountId) {
		return refuse(401, { detail: "chatgpt-account-id is not the account of the token" });
	}
	return account;
}

/**
 * What the backend refuses in a request for a response, whatever the account. `known` are the ids of this connection.
 */
export function checkBody(request: RecordedRequest, known: ReadonlySet<string>): RefusalAnswer | undefined {
	const { body } = request;
	if (body === undefined) return refuse(400, { detail: "The body is not a JSON object" });
	if (body.store !== false) return refuse(400, { detail: "Store must be set to false" });
	if (body.stream !== true) return refuse(400, { detail: "Stream must be set to true" });
	const previous = body.previous_response_id;
	if (typeof previous !== "string") return undefined;
	if (request.kind === "responses") return refuse(400, { detail: "Unsupported parameter: previous_response_id" });
	return known.has(previous) ? undefined : previousResponseNotFound(previous);
}
