import type { Api, AssistantMessageEventStream, Context, Model } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext, ProviderConfig } from "@mariozechner/pi-coding-agent";
import { raceAbort } from "../core/abort.ts";
import { type AccountSet, EVERYWHERE } from "../core/account-sets.ts";
import type { Handout } from "../core/credentials/handout.ts";
import { traceOf } from "../core/defect.ts";
import { asSessionId, PROVIDER, type SessionId } from "../core/ids.ts";
import type { CodexDelegate, StreamOptions } from "../core/request/attempt.ts";
import { ABORTED, finalError } from "../core/request/final-events.ts";
import { type FailoverDeps, failover } from "../core/request/request-loop.ts";
import {
	noAccountSignedIn,
	setIsEmpty,
	setsUnreadable,
	switchedOffHere,
	unexpected,
} from "../core/request/turn-texts.ts";
import { API, createPlace, type Place, streamOfHost } from "./delegate.ts";
import { isVirtual } from "./virtual-models.ts";

export { PROVIDER };

/**
 * A key that makes the provider available when `auth.json` has no login and no account has a token. Never sent
 * anywhere. Not the name of an environment variable, and without `$` or `!`, which hosts would resolve. Tokens contain
 * neither.
 */
const PLACEHOLDER_KEY = "pi-multicodex";

/** Replaces a token if caps and account sets exclude every caller here. Never sent anywhere. */
const KEPT_KEY = `${PLACEHOLDER_KEY}-kept`;

/** Maximum number of keys remembered as handed out by us. */
const MOST_KEYS = 50;

/**
 * What the turn retry of a host without a test of its own (0.73.1 and similar) repeats: overload, server error
 * statuses, throttling, and broken connections.
 */
const OLD_HOST_REPEATS = new RegExp(
	[
		"overloaded|service.?unavailable|server.?error|internal.?error|provider.?returned.?error",
		"rate.?limit|too many requests|retry delay",
		"429|50[0234]",
		"(network|connection|websocket).?error|connection.?(refused|lost)|websocket.?closed",
		"other side closed|fetch failed|upstream.?connect|reset before headers|socket hang up",
		"ended without|http2 request did not get a response|timed? out|timeout|terminated",
	].join("|"),
	"i",
);

/** True if this host's own turn retry repeats a request after an error with this text. Newer hosts can be asked. */
export function isRepeatedByHost(words: string): boolean {
	const ask: unknown = Reflect.get(ai, "isRetryableAssistantError");
	if (typeof ask !== "function") return OLD_HOST_REPEATS.test(words);
	return ask({ role: "assistant", content: [], stopReason: "error", errorMessage: words }) === true;
}

/** Returns the Codex backend's base URL as pi has it, including `models.json`; undefined if pi has no such model. */
export function baseUrlOf({ model, modelRegistry }: ExtensionContext): string | undefined {
	const isPhysical = (each: ExtensionContext["model"]) => each?.provider === PROVIDER && !isVirtual(each);
	return (isPhysical(model) ? model : modelRegistry.getAll().find(isPhysical))?.baseUrl;
}

/**
 * Makes 0.73.1 reload its logins: it keeps those it has read, and one that was deleted would still serve. Newer hosts
 * read the file.
 */
export function forgetLoginInMemory({ modelRegistry }: ExtensionContext): void {
	if ("authStorage" in modelRegistry) modelRegistry.authStorage.reload();
}

/** Every stream function of ours in this process. Each session has its own. */
const ours = new WeakSet<object>();

/** Returns whether another extension has registered over the provider after us. 0.73.1 cannot be asked. */
export function rivalIn(ctx: ExtensionContext): "none" | "another" | "not-visible" {
	const registration = registrationIn(ctx);
	if (registration === "not-visible") return "not-visible";
	return registration === "ours" ? "none" : "another";
}

/** Returns whose stream function is registered for the provider. */
function registrationIn({ modelRegistry }: ExtensionContext): "none" | "ours" | "another" | "not-visible" {
	if (!("getRegisteredProviderConfig" in modelRegistry)) return "not-visible";
	const { getRegisteredProviderConfig: ask } = modelRegistry;
	if (typeof ask !== "function") return "not-visible";
	const config: unknown = ask.call(modelRegistry, PROVIDER);
	if (typeof config !== "object" || config === null) return "none";
	const stream = "streamSimple" in config && config.streamSimple;
	return typeof stream === "function" && ours.has(stream) ? "ours" : "another";
}

/** pi's sign-in hooks for the provider. Newer hosts have fields that the types of 0.73.1 lack. */
export type OAuthHooks = NonNullable<ProviderConfig["oauth"]> & { usesCallbackServer: true; isSubscription: true };

/** What the provider needs besides the failover loop. */
interface ProviderDeps {
	readonly failover: FailoverDeps;
	readonly oauth: OAuthHooks;
	/** True while an account is signed in, here or in `auth.json`. */
	readonly hasAccount: () => boolean;
	/** Returns why there is no account, if the reason is not a missing sign-in. */
	readonly whyNoAccount?: () => string | undefined;
	/** Returns the token of the account that would serve. Other extensions get it when they ask pi for the key. */
	readonly keyForOthers: () => Handout | undefined;
	/** False while the extension is switched off. */
	readonly isEnabled: () => boolean;
	/** Returns why no token may be sent to this base URL; undefined if it may. */
	readonly refusalToSend: (baseUrl: string) => string | undefined;
	/** Called when a request of ours starts, with its base URL. */
	readonly onRequest: (baseUrl: string) => void;
}

/** The provider as registered with pi. */
export interface Provider {
	/**
	 * Registers again after the first account came or the last one went, or after the extension was switched off or on.
	 */
	keepAvailability(): void;
	/** Updates the key that other extensions get. Leaves their own registration alone. */
	keepKey(ctx: ExtensionContext): void;
	/**
	 * Called when the session continues with a model of another provider. Some hosts do not involve us then, and identify
	 * sockets by session alone: such a request must not use a socket of an account.
	 */
	leave(sessionId: SessionId): void;
	/** True while the registration does not match the files, typically because another process has written them. */
	isOutOfStep(): boolean;
	/**
	 * Lets the host finish what the last change of the registration started, before it looks for a key. Does nothing if
	 * there was no change. Never rejects.
	 */
	settle(ctx: ExtensionContext): Promise<void>;
}

/** Nothing of ours; our provider only for signing in; or our provider, usable without a login of pi's own. */
type Registration = "none" | "without-key" | "with-key";

/** Registers over `openai-codex`. Models, base URL and everything else stay pi's own. */
export function registerProvider(pi: ExtensionAPI, deps: ProviderDeps): Provider {
	let current: Registration = "none";
	let key = PLACEHOLDER_KEY;
	let isUnsettled = false;
	let settling: Promise<void> | undefined;
	const keys = createKeys();
	const place = createPlace(() => {
		if (current !== "none") register();
	});
	const parts: Parts = {
		...deps,
		keys,
		place,
		failover: { ...deps.failover, delegate: keeping(deps.failover.delegate, place) },
	};
	const config = {
		api: API,
		oauth: {
			...deps.oauth,
			getApiKey: ({ access }) => {
				if (!deps.isEnabled()) return access;
				const key = deps.keyForOthers();
				if (key?.isValid) return keys.handOut(key.token, access);
				return mayGiveOwn() ? access : keys.handOut(KEPT_KEY, access);
			},
		},
		streamSimple: (model: Model<Api>, context: Context, options?: StreamOptions) =>
			streamSimple(model, context, options ?? {}, parts),
	} satisfies ProviderConfig;

	/**
	 * True if others may get pi's own login. It is an account like any other: a cap or the session's account set may
	 * exclude it.
	 */
	const mayGiveOwn = () => {
		const { pool } = deps.failover;
		const own = pool.accounts().filter(({ linked }) => linked);
		if (own.length === 0) return pool.setFor(undefined) === undefined;
		return own.some((account) => !pool.isBarred(account, undefined));
	};

	ours.add(config.streamSimple);

	const register = () => {
		// Pass a copy: 0.73.1 merges later registrations into the first object that it was given.
		pi.registerProvider(PROVIDER, { ...config, ...(current === "with-key" && { apiKey: key }) });
	};
	/**
	 * Returns the key to register. While pi has a login of its own this key is never used; once that login is gone,
	 * nothing of it may be left here.
	 */
	const newestKey = () => {
		const hasOwn = deps.failover.pool.accounts().some(({ linked }) => linked);
		const key = hasOwn ? undefined : deps.keyForOthers();
		return key ? keys.handOut(key.token, undefined) : PLACEHOLDER_KEY;
	};
	const wanted = (): Registration => {
		if (!deps.isEnabled()) return "none";
		return deps.hasAccount() ? "with-key" : "without-key";
	};
	const keepAvailability = () => {
		const next = wanted();
		if (next === current) return;
		// Configurations are merged, so a key can only be dropped together with everything else.
		if (next === "none" || current === "with-key") pi.unregisterProvider(PROVIDER);
		current = next;
		isUnsettled = true;
		if (next === "with-key") key = newestKey();
		if (next !== "none") register();
		// Some host versions keep sockets by session. pi's own login must not use one of ours.
		if (next === "none") deps.failover.sockets.leaveAll();
	};
	const keepKey = (ctx: ExtensionContext) => {
		if (current !== "with-key" || registrationIn(ctx) === "none") return;
		const next = newestKey();
		if (next === key) return;
		key = next;
		// Name nothing else, so that whatever another extension has registered since stays.
		pi.registerProvider(PROVIDER, { apiKey: key });
	};
	const settle = async (ctx: ExtensionContext) => {
		if (isUnsettled) {
			isUnsettled = false;
			forgetLoginInMemory(ctx);
			settling = settleRegistration(ctx);
		}
		await settling;
	};
	keepAvailability();
	// What is registered while the host loads us takes effect before a session starts.
	isUnsettled = false;
	const leave = (sessionId: SessionId) => deps.failover.sockets.leaveSoon(sessionId);
	return { keepAvailability, keepKey, leave, isOutOfStep: () => wanted() !== current, settle };
}

/** What requests are served with. */
interface Parts extends ProviderDeps {
	readonly keys: Keys;
	readonly place: Place;
}

/** Keys that pi has from us and returns with a request. None of them means that pi has a login of its own. */
interface Keys {
	/** Remembers the token of an account, given in place of `own`, the token of pi's login if there is one. */
	handOut(key: string, own: string | undefined): string;
	/** Returns the options as plain pi would pass them; undefined if plain pi would have no key. */
	asPlain(options: StreamOptions): StreamOptions | undefined;
}

function createKeys(): Keys {
	const owns = new Map<string, string | undefined>([[PLACEHOLDER_KEY, undefined]]);
	return {
		handOut: (key, own) => {
			const known = own ?? owns.get(key);
			owns.delete(key);
			owns.set(key, known);
			const oldest = [...owns.keys()].find((each) => each !== PLACEHOLDER_KEY);
			if (owns.size > MOST_KEYS && oldest !== undefined) owns.delete(oldest);
			return key;
		},
		asPlain: (options) => {
			if (options.apiKey === undefined || !owns.has(options.apiKey)) return options;
			const own = owns.get(options.apiKey);
			return own === undefined ? undefined : { ...options, apiKey: own };
		},
	};
}

/** Wraps the host's stream function, whose start must not cost us our entry in the registry. */
function keeping(delegate: CodexDelegate, place: Place): CodexDelegate {
	return {
		...delegate,
		stream: (model, context, options) => place.keptDuring(delegate.stream(model, context, options)),
	};
}

/**
 * Lets newer hosts, which process a registration in the background, finish before they look for a key. Uses no network.
 * Never rejects.
 */
export async function settleRegistration({ modelRegistry }: ExtensionContext): Promise<void> {
	const refresh: (options: { readonly allowNetwork: boolean }) => unknown = modelRegistry.refresh.bind(modelRegistry);
	try {
		// An overtaken refresh changes nothing and reports nothing, and the host's own may overtake the first one.
		await refresh({ allowNetwork: false });
		await refresh({ allowNetwork: false });
	} catch {
		// The host's own refresh reports whatever is wrong there. The registration still takes effect.
		return;
	}
}

/** Called by pi for every model of this api; on 0.73.1 for any provider. Returns at once and never throws. */
function streamSimple(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	deps: Parts,
): AssistantMessageEventStream {
	deps.place.reached();
	const isOurs = model.provider === PROVIDER && !isKeyOfCommandLine(options.apiKey);
	// Nothing of ours is involved beyond this line: a request to another provider never gets one of our tokens.
	if (!isOurs) return untouched(model, context, options, deps);
	if (!deps.isEnabled()) return streamWithoutUs(model, context, options, deps);
	const outer = ai.createAssistantMessageEventStream();
	serveFromPool(model, context, options, outer, deps).catch((error: unknown) => {
		// Only an abort or a defect of ours gets here. The stream must end in both cases.
		const isAborted = options.signal?.aborted === true;
		const text = isAborted ? ABORTED : unexpected();
		outer.push(finalError(model, isAborted ? "aborted" : "error", text, Date.now()));
		outer.end();
		if (!isAborted) deps.failover.pool.emit({ type: "defect", where: "request", trace: traceOf(error) });
	});
	return outer;
}

/**
 * Another process has switched us off during the turn, before pi could be told. Passes the request on unchanged. The
 * next one will not come here.
 */
function streamWithoutUs(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	deps: Parts,
): AssistantMessageEventStream {
	const { pool } = deps.failover;
	pool.emit({ type: "changed" });
	const plain = deps.keys.asPlain(options);
	if (plain) return untouched(model, context, plain, deps);
	const outer = ai.createAssistantMessageEventStream();
	outer.push(finalError(model, "error", switchedOffHere(), Date.now()));
	outer.end();
	return outer;
}

/** Returns pi's own stream as pi would have requested it, on no socket of an account. */
function untouched(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	{ place, failover: { sockets } }: Parts,
): AssistantMessageEventStream {
	const claim = sockets.claimOther(sessionIn(options), model.provider);
	const stream = streamOfHost(model, context, claim.mustNotShare ? { ...options, transport: "sse" } : options);
	const ended = () => {
		claim.release();
		place.keep();
	};
	stream.result().then(ended, ended);
	return stream;
}

function sessionIn({ sessionId }: StreamOptions): SessionId | undefined {
	return sessionId === undefined ? undefined : asSessionId(sessionId);
}

/** Returns why no account may serve within `set` while the pool is empty. */
function whyNone({ folder }: AccountSet): string {
	return folder === EVERYWHERE ? setsUnreadable() : setIsEmpty();
}

async function serveFromPool(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	outer: AssistantMessageEventStream,
	deps: Parts,
): Promise<void> {
	const { link, pool } = deps.failover;
	await raceAbort(link.sync(options.signal), options.signal);
	const isEmpty = pool.accounts().length === 0;
	const plain = deps.keys.asPlain(options);
	const session = sessionIn(options);
	const { sessionId: _, ...rest } = options;
	const set = pool.setFor(session);
	if (isEmpty && (!plain || set)) {
		// The last account has left since pi looked for a key. From the next request on, pi finds none.
		pool.emit({ type: "changed" });
		const why = deps.whyNoAccount?.() ?? noAccountSignedIn();
		outer.push(finalError(model, "error", set ? whyNone(set) : why, Date.now()));
		outer.end();
		return;
	}
	if (link.isForeign() || isEmpty) {
		deps.failover.sockets.leave(session);
		await forward(model, context, plain ?? options, outer, deps);
		return;
	}
	const refusal = deps.refusalToSend(model.baseUrl);
	if (refusal !== undefined) {
		outer.push(finalError(model, "error", refusal, Date.now()));
		outer.end();
		return;
	}
	deps.onRequest(model.baseUrl);
	await failover(
		{ model, context, options: session === undefined ? rest : { ...rest, sessionId: session } },
		outer,
		deps.failover,
	);
}

/** Forwards pi's own stream, unchanged, into the stream that was already returned. */
async function forward(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	outer: AssistantMessageEventStream,
	{ place }: Parts,
): Promise<void> {
	try {
		for await (const event of place.keptDuring(streamOfHost(model, context, options))) outer.push(event);
	} catch (error) {
		const text = error instanceof Error ? error.message : String(error);
		outer.push(finalError(model, "error", text, Date.now()));
	} finally {
		outer.end();
	}
}

/** True for the key that the person passed with `--api-key`. It is used directly, without rotation. */
function isKeyOfCommandLine(apiKey: string | undefined): boolean {
	const at = process.argv.indexOf("--api-key");
	return apiKey !== undefined && at >= 0 && process.argv[at + 1] === apiKey;
}
