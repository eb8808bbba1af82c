import type { Api, AssistantMessageEventStream, Context, Model } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext, ProviderConfig } from "@mariozechner/pi-coding-agent";
import { raceAbort } from "../core/abort.ts";
import { type AccountSet, EVERYWHERE } from "../core/account-sets.ts";
import type { Handout } from "../core/credentials/handout.ts";
import { traceOf } from "../core/defect.ts";
import { PROVIDER, type SessionId } from "../core/ids.ts";
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
 * Makes the provider available where `auth.json` has no login and no account has a token. Never sent anywhere. Neither
 * the name of an environment variable nor anything with `$` or `!`, which hosts would resolve; nor has a token any.
 */
const PLACEHOLDER_KEY = "pi-multicodex";

/** Takes the place of a token that caps and account sets keep from every caller here. Never sent anywhere. */
const KEPT_KEY = `${PLACEHOLDER_KEY}-kept`;

/** So many keys are remembered as handed out by us. */
const MOST_KEYS = 50;

/**
 * What the turn retry of a host without a test of its own (0.73.1 and its like) repeats: overload, statuses of a server
 * at fault, throttling, and connections that broke.
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

/** Does this host's own turn retry ask again after an error with these words? Newer hosts can be asked. */
export function isRepeatedByHost(words: string): boolean {
	const ask: unknown = Reflect.get(ai, "isRetryableAssistantError");
	if (typeof ask !== "function") return OLD_HOST_REPEATS.test(words);
	return ask({ role: "assistant", content: [], stopReason: "error", errorMessage: words }) === true;
}

/** Base URL of the Codex backend as pi has it, `models.json` included; undefined where pi knows no such model. */
export function baseUrlOf({ model, modelRegistry }: ExtensionContext): string | undefined {
	const isPhysical = (each: ExtensionContext["model"]) => each?.provider === PROVIDER && !isVirtual(each);
	return (isPhysical(model) ? model : modelRegistry.getAll().find(isPhysical))?.baseUrl;
}

/** 0.73.1 keeps the logins that it has read: one that left its file would serve on. Newer hosts look at the file. */
export function forgetLoginInMemory({ modelRegistry }: ExtensionContext): void {
	if ("authStorage" in modelRegistry) modelRegistry.authStorage.reload();
}

/** Every stream function of ours in this process: each session has its own. */
const ours = new WeakSet<object>();

/** Whether another extension has registered over the provider after us. 0.73.1 has no way to ask. */
export function rivalIn(ctx: ExtensionContext): "none" | "another" | "not-visible" {
	const registration = registrationIn(ctx);
	if (registration === "not-visible") return "not-visible";
	return registration === "ours" ? "none" : "another";
}

/** Whose stream function is registered for the provider, if any. */
function registrationIn({ modelRegistry }: ExtensionContext): "none" | "ours" | "another" | "not-visible" {
	if (!("getRegisteredProviderConfig" in modelRegistry)) return "not-visible";
	const { getRegisteredProviderConfig: ask } = modelRegistry;
	if (typeof ask !== "function") return "not-visible";
	const config: unknown = ask.call(modelRegistry, PROVIDER);
	if (typeof config !== "object" || config === null) return "none";
	const stream = "streamSimple" in config && config.streamSimple;
	return typeof stream === "function" && ours.has(stream) ? "ours" : "another";
}

/** pi's sign-in hooks for the provider; newer hosts know fields that 0.73.1's types lack. */
export type OAuthHooks = NonNullable<ProviderConfig["oauth"]> & { usesCallbackServer: true; isSubscription: true };

/** What the provider needs besides the failover loop. */
export interface ProviderDeps {
	readonly failover: FailoverDeps;
	readonly oauth: OAuthHooks;
	/** True while an account is signed in, here or in `auth.json`. */
	readonly hasAccount: () => boolean;
	/** Why there is no account, where that is not for want of a sign-in. */
	readonly whyNoAccount?: () => string | undefined;
	/** Token of the account that would serve: what other extensions get who ask pi for the key. */
	readonly keyForOthers: () => Handout | undefined;
	/** False while the person has switched us off. */
	readonly isEnabled: () => boolean;
	/** Why no token may be sent to this base URL; undefined where it may. */
	readonly refusalToSend: (baseUrl: string) => string | undefined;
	/** A request of ours begins, on this base URL. */
	readonly onRequest: (baseUrl: string) => void;
}

/** The provider as registered with pi. */
export interface Provider {
	/** Registers again when the first account came, the last one went, or the person has switched us off or on. */
	keepAvailability(): void;
	/** Brings the key that other extensions get up to date. Leaves a registration of theirs as it is. */
	keepKey(ctx: ExtensionContext): void;
	/**
	 * The session goes on with a model of another provider. Some hosts do not ask us for that one, and know their sockets
	 * by session alone: it must not go out on one of an account.
	 */
	leave(sessionId: SessionId): void;
	/** True while the registry does not have yet what files say, typically because another process has written them. */
	isOutOfStep(): boolean;
	/**
	 * Lets the host finish what the last change of the registration began, before it looks for a key. Asks it nothing
	 * where there was no change. Never rejects.
	 */
	settle(ctx: ExtensionContext): Promise<void>;
}

/** Nothing of ours; ours, for the sign-in alone; ours, and usable without a login of pi's own. */
type Registration = "none" | "without-key" | "with-key";

/** Registers over `openai-codex`: models, base URL and everything else stay pi's own. */
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

	/** pi's own login is an account like any other: a cap or the account set of the session may keep it from others. */
	const mayGiveOwn = () => {
		const { pool } = deps.failover;
		const own = pool.accounts().filter(({ linked }) => linked);
		if (own.length === 0) return pool.setFor(undefined) === undefined;
		return own.some((account) => !pool.isBarred(account, undefined));
	};

	ours.add(config.streamSimple);

	const register = () => {
		// A copy: 0.73.1 merges what is registered later into the object that it was given first.
		pi.registerProvider(PROVIDER, { ...config, ...(current === "with-key" && { apiKey: key }) });
	};
	/** While pi has a login of its own this key is never looked at; once it is gone, nothing of it may be left here. */
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
		// Configurations are merged, so a key can only be dropped with everything else.
		if (next === "none" || current === "with-key") pi.unregisterProvider(PROVIDER);
		current = next;
		isUnsettled = true;
		if (next === "with-key") key = newestKey();
		if (next !== "none") register();
		// The host keeps sockets by session on some versions: pi's own login must not go out on one of ours.
		if (next === "none") deps.failover.sockets.leaveAll();
	};
	const keepKey = (ctx: ExtensionContext) => {
		if (current !== "with-key" || registrationIn(ctx) === "none") return;
		const next = newestKey();
		if (next === key) return;
		key = next;
		// Nothing else is named, so that whatever another extension has registered since stays.
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
	// The host takes in what is registered while it loads us before a session begins.
	isUnsettled = false;
	const leave = (sessionId: SessionId) => deps.failover.sockets.leaveSoon(sessionId);
	return { keepAvailability, keepKey, leave, isOutOfStep: () => wanted() !== current, settle };
}

/** What requests are served with. */
interface Parts extends ProviderDeps {
	readonly keys: Keys;
	readonly place: Place;
}

/** Keys that pi has from us, and hands back with a request: none of them says that pi has a login of its own. */
interface Keys {
	/** Remembers the token of an account, given in place of `own`, the token of pi's login if there is one. */
	handOut(key: string, own: string | undefined): string;
	/** The request as plain pi would make it; undefined where plain pi would have no key for it. */
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

/** The host's stream function, whose start must not cost us our place. */
function keeping(delegate: CodexDelegate, place: Place): CodexDelegate {
	return {
		...delegate,
		stream: (model, context, options) => place.keptDuring(delegate.stream(model, context, options)),
	};
}

/**
 * Lets newer hosts, which take a registration in behind, finish that before they look for a key. Nothing is fetched for
 * it. Never rejects.
 */
export async function settleRegistration({ modelRegistry }: ExtensionContext): Promise<void> {
	const refresh: (options: { readonly allowNetwork: boolean }) => unknown = modelRegistry.refresh.bind(modelRegistry);
	try {
		// A look that another one has overtaken changes nothing and reports nothing: the host's own may overtake the first.
		await refresh({ allowNetwork: false });
		await refresh({ allowNetwork: false });
	} catch {
		// The host's own look tells of whatever is wrong there; the registration is made all the same.
		return;
	}
}

/** What pi calls for every model of this api, on 0.73.1 whatever its provider. Returns at once; never throws. */
function streamSimple(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	deps: Parts,
): AssistantMessageEventStream {
	deps.place.reached();
	const isOurs = model.provider === PROVIDER && !isKeyOfCommandLine(options.apiKey);
	// Past this line nothing of ours is involved: another provider's request never meets one of our tokens.
	if (!isOurs) return untouched(model, context, options, deps);
	if (!deps.isEnabled()) return streamWithoutUs(model, context, options, deps);
	const outer = ai.createAssistantMessageEventStream();
	serveFromPool(model, context, options, outer, deps).catch((error: unknown) => {
		// Only an abort, or a defect of ours, gets here; either way the stream must end.
		const isAborted = options.signal?.aborted === true;
		const text = isAborted ? ABORTED : unexpected();
		outer.push(finalError(model, isAborted ? "aborted" : "error", text, Date.now()));
		outer.end();
		if (!isAborted) deps.failover.pool.emit({ type: "defect", where: "request", trace: traceOf(error) });
	});
	return outer;
}

/**
 * Another process has switched us off in mid-turn, so pi could not be told before. The request goes its way as it is;
 * the next one does not come here any more.
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

/** pi's own stream, as pi would have asked for it, and on no socket of an account. */
function untouched(
	model: Model<Api>,
	context: Context,
	options: StreamOptions,
	{ place, failover: { sockets } }: Parts,
): AssistantMessageEventStream {
	const claim = sockets.claimOther(options.sessionId, model.provider);
	const stream = streamOfHost(model, context, claim.mustNotShare ? { ...options, transport: "sse" } : options);
	const ended = () => {
		claim.release();
		place.keep();
	};
	stream.result().then(ended, ended);
	return stream;
}

/** Why no account may serve within `set` while the pool is empty. */
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
	const set = pool.setFor(options.sessionId);
	if (isEmpty && (!plain || set)) {
		// The last account has left since pi looked for a key: from the next request on it finds none.
		pool.emit({ type: "changed" });
		const why = deps.whyNoAccount?.() ?? noAccountSignedIn();
		outer.push(finalError(model, "error", set ? whyNone(set) : why, Date.now()));
		outer.end();
		return;
	}
	if (link.isForeign() || isEmpty) {
		deps.failover.sockets.leave(options.sessionId);
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
	await failover({ model, context, options }, outer, deps.failover);
}

/** pi's own stream, untouched, through the one that was already handed out. */
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

/** True for the key that the person gave with `--api-key`: it serves as it is, without rotation. */
function isKeyOfCommandLine(apiKey: string | undefined): boolean {
	const at = process.argv.indexOf("--api-key");
	return apiKey !== undefined && at >= 0 && process.argv[at + 1] === apiKey;
}
