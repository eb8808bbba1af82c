import { arch, platform, release } from "node:os";
import type { WorkspaceId } from "../../core/ids.ts";
import { refusalToSendTokens, withoutSlash } from "./token-url.ts";
import { type Unreached, unreachedWords, whyUnreached } from "./unreached.ts";

/** Whose request it is, and the base URL of the model. */
interface BackendCall {
	readonly baseUrl: string;
	readonly access: string;
	readonly workspaceId: WorkspaceId;
}

/** What a call requests. */
interface BackendAsk {
	/** The path below the base, such as `wham/usage`. */
	readonly path: string;
	/** The service in a sentence, such as `the usage service`. */
	readonly service: string;
	/** Headers besides the usual ones. */
	readonly headers?: Readonly<Record<string, string>>;
	/** Sent as JSON by POST. Without it the call is a GET. */
	readonly body?: Readonly<Record<string, string>>;
}

/** The call was not answered. Its message quotes nothing of the request. */
export class UnansweredError extends Error {
	/** False if nothing of the request has left this machine. */
	readonly maybeSent: boolean;
	constructor(message: string, maybeSent: boolean) {
		super(message);
		this.name = "UnansweredError";
		this.maybeSent = maybeSent;
	}
}

/**
 * Calls an endpoint of the backend with a token: only over https or to a loopback address, never through a proxy that
 * could read it, and never following a redirect. Throws {@link UnansweredError} if there is no answer.
 */
export async function callBackend(
	{ baseUrl, access, workspaceId }: BackendCall,
	{ path, service, headers: further, body }: BackendAsk,
	signal: AbortSignal,
): Promise<Response> {
	const refusal = refusalToSendTokens(baseUrl, "baseUrl of openai-codex in models.json");
	if (refusal) throw new UnansweredError(refusal, false);
	const headers = {
		authorization: `Bearer ${access}`,
		"chatgpt-account-id": workspaceId,
		accept: "application/json",
		"user-agent": `pi (${platform()} ${release()}; ${arch()})`,
		...further,
	};
	const sent =
		body === undefined
			? { headers }
			: {
					method: "POST",
					headers: { ...headers, "content-type": "application/json" },
					body: JSON.stringify(body),
				};
	try {
		return await fetch(backendUrl(baseUrl, path), { ...sent, redirect: "error", signal });
	} catch (error) {
		// The error's message may quote a header, and with it the token.
		const why = whyUnreached(error);
		throw new UnansweredError(wordsOf(why, service), why.maybeSent);
	}
}

function wordsOf(why: Unreached, service: string): string {
	const isPlain = why.kind === "unanswered" || why.kind === "unconnected";
	return isPlain ? `${service} cannot be reached` : unreachedWords(why, service);
}

/** Returns `<base>/<path>`. The base may already name the responses endpoint. */
export function backendUrl(baseUrl: string, path: string): string {
	return `${withoutSlash(baseUrl).replace(/\/codex(\/responses)?$/, "")}/${path}`;
}
