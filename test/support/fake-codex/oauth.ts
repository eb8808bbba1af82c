import type { FakeAccount } from "./accounts.ts";
import type { AnswerContext } from "./answer.ts";
import type { HttpSink } from "./http.ts";
import { asString } from "./json.ts";
import { type TokenAnswer, type TokenGrantAnswer, tokenAnswers, tokenError } from "./oauth-answers.ts";
import { play } from "./play.ts";
import type { RecordedRequest } from "./recorder.ts";
import { Script } from "./script.ts";
import { CLIENT_ID, type Grant, type TokenLedger } from "./tokens.ts";
import { wait } from "./wait.ts";

/** What the person at the browser does when an authorize URL is opened. */
export type BrowserSession = { readonly account: string } | { readonly deny: string; readonly description: string };

/** The accounts and clock the OAuth endpoints work on. */
export interface OAuthWorld {
	readonly issuer: () => string;
	readonly now: () => number;
	readonly ledger: TokenLedger;
	readonly account: (name: string) => FakeAccount;
}

/** Token endpoint and browser login. */
export class OAuthEndpoints {
	/** Answers for every token request, after those of the account concerned. */
	readonly script = new Script<TokenAnswer>();
	browser: BrowserSession | undefined;
	readonly #world: OAuthWorld;

	constructor(world: OAuthWorld) {
		this.#world = world;
	}

	/** `GET /oauth/authorize`: redirects back with a code, or with an error. */
	authorize(request: RecordedRequest, sink: HttpSink): void {
		const { query } = request;
		const problems = authorizeProblems(query);
		if (problems.length > 0) {
			sink.json(400, tokenError("invalid_request", "error.code", `authorize: ${problems.join("; ")}`));
			return;
		}
		const redirectUri = query.redirect_uri ?? "";
		const target = new URL(redirectUri);
		target.searchParams.set("state", query.state ?? "");
		for (const [name, value] of Object.entries(this.#decide(query, redirectUri))) target.searchParams.set(name, value);
		sink.json(302, "", { location: target.toString() });
	}

	/** `POST /oauth/token`. */
	async token(request: RecordedRequest, sink: HttpSink): Promise<void> {
		const account = request.account === undefined ? undefined : this.#world.account(request.account);
		const answer = account?.tokenScript.take() ?? this.script.take() ?? tokenAnswers.normal();
		request.answer = answer.name;
		if (answer.kind !== "grant") {
			await play(answer, this.#context(account), sink);
			return;
		}
		await wait(answer.delayBeforeMs, sink.signal);
		if (sink.signal.aborted) return;
		const result = this.#spend(request, answer);
		if ("refresh" in result && answer.rotates) request.issuedRefresh = result.refresh;
		await wait(answer.delayAfterMs, sink.signal);
		await answer.released;
		if ("problem" in result) {
			sink.json(result.status, tokenError(result.problem, "error.code", result.message));
		} else if (answer.lost) {
			sink.reset();
		} else {
			sink.json(200, answer.change(this.#body(result, answer, account)));
		}
	}

	#decide(query: RecordedRequest["query"], redirectUri: string): Record<string, string> {
		const { browser } = this;
		if (browser === undefined) return { error: "login_required", error_description: "no account is signed in" };
		if ("deny" in browser) return { error: browser.deny, error_description: browser.description };
		const account = this.#world.account(browser.account);
		const allowed = query.allowed_workspace_id?.split(",");
		if (allowed !== undefined && !allowed.includes(account.accountId)) {
			return { error: "access_denied", error_description: "this workspace is not allowed" };
		}
		const bound = { challenge: query.code_challenge ?? "", redirectUri, scope: query.scope ?? "" };
		return { code: this.#world.ledger.issueCode(account.identity(), bound), scope: bound.scope };
	}

	#spend(request: RecordedRequest, answer: TokenGrantAnswer): Granted | Problem {
		const body = request.body ?? {};
		if (body.client_id !== CLIENT_ID) return problem(401, "invalid_client");
		if (body.grant_type === "authorization_code") return this.#redeem(body);
		if (body.grant_type !== "refresh_token") return problem(400, "unsupported_grant_type");
		const outcome = this.#world.ledger.refresh(asString(body.refresh_token) ?? "", answer.rotates);
		if (outcome === "unknown") return problem(401, "invalid_grant");
		if (outcome === "reused") return problem(401, "refresh_token_reused");
		if (outcome === "revoked") return problem(401, "refresh_token_invalidated");
		return { ...outcome, withRefresh: answer.rotates };
	}

	#redeem(body: Readonly<Record<string, unknown>>): Granted | Problem {
		const [code, verifier, redirectUri] = [body.code, body.code_verifier, body.redirect_uri].map(asString);
		const redeemed = this.#world.ledger.redeemCode(code ?? "", verifier ?? "", redirectUri ?? "");
		if ("problem" in redeemed) return problem(400, "invalid_grant", redeemed.problem);
		return { ...redeemed, withRefresh: redeemed.scope.split(" ").includes("offline_access") };
	}

	#body(granted: Granted, answer: TokenGrantAnswer, account: FakeAccount | undefined): Record<string, unknown> {
		return {
			...(account === undefined
				? {}
				: { id_token: this.#world.ledger.issueIdToken(account.identity(), granted.expires) }),
			access_token: granted.access,
			...(granted.withRefresh && answer.rotates ? { refresh_token: granted.refresh } : {}),
			token_type: "Bearer",
			expires_in: Math.max(0, Math.ceil((granted.expires - this.#world.now()) / 1_000)),
		};
	}

	#context(account: FakeAccount | undefined): AnswerContext {
		const { name = "", plan = "plus", requestCount = 0 } = account ?? {};
		return { nowMs: this.#world.now(), account: name, plan, model: "", requestCount, inputTokens: 0, cachedTokens: 0 };
	}
}

interface Granted extends Grant {
	readonly withRefresh: boolean;
}

interface Problem {
	readonly status: number;
	readonly problem: string;
	readonly message: string | undefined;
}

function problem(status: number, code: string, message?: string): Problem {
	return { status, problem: code, message };
}

function authorizeProblems(query: RecordedRequest["query"]): string[] {
	const problems: string[] = [];
	const demand = (name: string, ok: (value: string) => boolean) => {
		const value = query[name];
		if (value === undefined) problems.push(`${name} is missing`);
		else if (!ok(value)) problems.push(`${name} is not acceptable`);
	};
	const is = (expected: string) => (value: string) => value === expected;
	demand("response_type", is("code"));
	demand("client_id", is(CLIENT_ID));
	demand("redirect_uri", isLoopbackRedirect);
	demand("scope", (scope) => scope.split(" ").includes("openid"));
	demand("code_challenge", (challenge) => /^[A-Za-z0-9_-]{43}$/.test(challenge));
	demand("code_challenge_method", is("S256"));
	demand("state", (state) => state.length >= 16);
	demand("id_token_add_organizations", is("true"));
	demand("codex_cli_simplified_flow", is("true"));
	demand("originator", (originator) => originator !== "");
	return problems;
}

/**
 * The real issuer registers only the ports 1455 and 1457; any port is let through so that tests can run side by side.
 */
function isLoopbackRedirect(value: string): boolean {
	return /^http:\/\/localhost:\d+\/auth\/callback$/.test(value);
}
