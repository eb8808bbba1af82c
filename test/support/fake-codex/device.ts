import { randomBytes } from "node:crypto";
import type { AnswerContext, PlainAnswer } from "./answer.ts";
import type { HttpSink } from "./http.ts";
import { asString } from "./json.ts";
import type { OAuthWorld } from "./oauth.ts";
import { tokenError } from "./oauth-answers.ts";
import { play } from "./play.ts";
import type { RecordedRequest } from "./recorder.ts";
import { Script } from "./script.ts";
import { CLIENT_ID, pkceChallenge } from "./tokens.ts";

interface PendingDevice {
	readonly deviceAuthId: string;
	readonly userCode: string;
	account: string | undefined;
	spent: boolean;
}

/** The device-code flow (codex-backend.md 1.2). */
export class DeviceEndpoints {
	/** false: 404, as long as the person has not switched device codes on. */
	enabled = true;
	/** Poll interval in seconds, sent as a string like the real one does. */
	intervalSeconds = 1;
	/** Answers to the next requests for a code, in place of one. */
	readonly starts = new Script<PlainAnswer>();
	/** Answers for the next polls, e.g. `answers.refuse(400, { error: { code: "slow_down" } })`. */
	readonly polls = new Script<PlainAnswer>();
	readonly #world: OAuthWorld;
	readonly #pending: PendingDevice[] = [];

	constructor(world: OAuthWorld) {
		this.#world = world;
	}

	/** The person enters a code (default: the latest one) while signed in to this account. */
	approve(account: string, userCode?: string): void {
		const device = this.#pending.filter((each) => userCode === undefined || each.userCode === userCode).at(-1);
		if (device === undefined) throw new Error("no device code was asked for");
		device.account = account;
	}

	/** `POST /api/accounts/deviceauth/usercode`. */
	async start(request: RecordedRequest, sink: HttpSink): Promise<void> {
		const scripted = this.starts.take();
		if (scripted !== undefined) {
			request.answer = scripted.name;
			await play(scripted, this.#context(), sink);
			return;
		}
		if (!this.enabled) {
			sink.json(404, { detail: "Not Found" });
			return;
		}
		if (request.body?.client_id !== CLIENT_ID) {
			sink.json(401, tokenError("invalid_client"));
			return;
		}
		const userCode = randomBytes(5)
			.toString("hex")
			.toUpperCase()
			.replace(/^(.{4})/, "$1-");
		const device = {
			deviceAuthId: this.#world.ledger.newSecret("deviceauth"),
			userCode,
			account: undefined,
			spent: false,
		};
		this.#pending.push(device);
		sink.json(200, {
			device_auth_id: device.deviceAuthId,
			user_code: userCode,
			interval: String(this.intervalSeconds),
		});
	}

	/** `POST /api/accounts/deviceauth/token`: 403 while pending, then a code with the PKCE pair of the server. */
	async poll(request: RecordedRequest, sink: HttpSink): Promise<void> {
		const scripted = this.polls.take();
		if (scripted !== undefined) {
			request.answer = scripted.name;
			await play(scripted, this.#context(), sink);
			return;
		}
		const { device_auth_id, user_code } = request.body ?? {};
		const device = this.#pending.find(
			(each) => each.deviceAuthId === asString(device_auth_id) && each.userCode === user_code,
		);
		if (device === undefined || device.spent) {
			sink.json(400, tokenError("deviceauth_invalid_request"));
			return;
		}
		if (device.account === undefined) {
			sink.json(403, tokenError("deviceauth_authorization_pending"));
			return;
		}
		device.spent = true;
		const verifier = this.#world.ledger.newSecret("verifier");
		const challenge = pkceChallenge(verifier);
		const bound = {
			challenge,
			redirectUri: `${this.#world.issuer()}/deviceauth/callback`,
			scope: "openid profile email offline_access",
		};
		const code = this.#world.ledger.issueCode(this.#world.account(device.account).identity(), bound);
		sink.json(200, { authorization_code: code, code_challenge: challenge, code_verifier: verifier });
	}

	#context(): AnswerContext {
		return {
			nowMs: this.#world.now(),
			account: "",
			plan: "plus",
			model: "",
			requestCount: 0,
			inputTokens: 0,
			cachedTokens: 0,
		};
	}
}
