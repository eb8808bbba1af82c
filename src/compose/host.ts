import { homedir } from "node:os";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { Credential } from "../core/account.ts";
import { createHandout } from "../core/credentials/handout.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import type { RecordEntry } from "../core/ledger/ledger.ts";
import type { Clock } from "../core/ports.ts";
import { hideEmails } from "../core/privacy.ts";
import type { FailoverDeps } from "../core/request/request-loop.ts";
import { createSessionSockets } from "../core/request/session-sockets.ts";
import { noSharedAccount } from "../core/request/turn-texts.ts";
import { createFooter, type Footer } from "../features/footer/footer.ts";
import type { Imports } from "../features/import/imports.ts";
import { createOAuthHooks } from "../features/sign-in/login-hooks.ts";
import { createLoginNews, type LoginNews } from "../features/sign-in/login-news.ts";
import type { SignInWays } from "../features/sign-in/ports.ts";
import { createStraySignIns, type StraySignIns } from "../features/sign-in/stray-sign-in.ts";
import { createWelcome, type Welcome } from "../features/welcome/welcome.ts";
import { delegate } from "../pi/delegate.ts";
import { isRepeatedByHost, type OAuthHooks, type Provider, registerProvider } from "../pi/provider.ts";
import { fingerprint, identityOf } from "../platform/backend/jwt.ts";
import { readRefusal } from "../platform/backend/read-body.ts";
import { refusalToSendTokens } from "../platform/backend/token-url.ts";
import { usageFromHeaders } from "../platform/backend/usage-api.ts";
import { followFiles } from "../platform/files/file-watch.ts";
import { once } from "../platform/lazily.ts";
import type { PoolParts, SessionParts } from "./pool.ts";
import type { Endpoints, Files, Sharing } from "./stores.ts";

/** How accounts come in: a sign-in of ours or of pi, and what other tools store. */
export interface SignInParts {
	readonly ways: SignInWays;
	/** The hooks of pi's own `/login`. */
	readonly oauth: OAuthHooks;
	/** Reports a sign-in through pi's own `/login`. */
	readonly news: LoginNews;
	/** Keeps the address of a sign-in from the model. */
	readonly takeStray: StraySignIns["take"];
	readonly loadImports: () => Promise<Imports>;
	readonly welcome: Welcome;
}

interface SignInDeps {
	readonly files: Pick<Files, "paths" | "piAuth">;
	readonly endpoints: Pick<Endpoints, "issuer" | "tokens">;
	readonly sharing: Pick<Sharing, "accounts" | "state" | "settings">;
	readonly parts: Pick<PoolParts, "pool" | "link" | "membership" | "usage">;
	readonly clock: Clock;
	readonly pause: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Creates the ways to sign in. The code of a sign-in and of an import is loaded at first use. */
export function createSignIn({ files, endpoints, sharing, parts, clock, pause }: SignInDeps): SignInParts {
	const { accounts, state, settings } = sharing;
	const { pool, link, membership, usage } = parts;
	const { issuer, tokens } = endpoints;
	const strays = createStraySignIns();
	const nameOf = (credential: Credential) => {
		const told = membership.whose(credential);
		const name = told?.account?.label ?? told?.identity.email;
		return name !== undefined && settings.read().maskEmails ? hideEmails(name) : name;
	};
	const ways: SignInWays = {
		inBrowser: (dialog) =>
			strays.during(dialog, async (heard) => {
				const { loginInBrowser } = await import("../features/sign-in/browser-login.ts");
				return loginInBrowser(issuer, heard, clock.now, nameOf);
			}),
		onDevice: async (dialog) => {
			const { loginOnDevice } = await import("../features/sign-in/device-login.ts");
			return loginOnDevice(issuer, dialog, clock.now, pause);
		},
		openBrowser: async (url) => {
			const { openInBrowser } = await import("../features/sign-in/open-browser.ts");
			return openInBrowser(url);
		},
	};
	const news = createLoginNews({ membership, pool, usage, clock });
	const oauth = createOAuthHooks({
		link,
		ways,
		workspaceIdOf: (access) => identityOf(access)?.workspaceId,
		accountOf: (credential) => membership.whose(credential)?.account,
		onSignedIn: (credential, known) => {
			pool.emit({ type: "changed" });
			void news.signedIn(credential, known);
		},
	});
	const loadImports = once(async () => {
		const { createImports } = await import("../features/import/imports.ts");
		const { createImportFinder } = await import("../features/import/tools/finder.ts");
		const finder = createImportFinder({ home: homedir(), env: process.env }, files.paths["pi's login"]);
		return createImports({ finder, accounts, state, membership, tokens, clock });
	});
	const welcome = createWelcome({
		state,
		findSignIns: async () => {
			const { takeableSignIns } = await import("../features/import/rules.ts");
			const imports = await loadImports();
			return takeableSignIns(await imports.lookIn(undefined));
		},
		emit: pool.emit,
		isHomeEmpty: () => accounts.list().length === 0 && files.piAuth.peek().kind === "none",
	});
	return { ways, oauth, news, takeStray: strays.take, loadImports, welcome };
}

interface ProviderDeps {
	readonly files: Pick<Files, "piAuth">;
	readonly sharing: Pick<Sharing, "accounts" | "settings" | "current">;
	readonly parts: Pick<PoolParts, "pool" | "link" | "credentials" | "usage">;
	readonly session: Pick<SessionParts, "affinity" | "beyond" | "modelNamed">;
	readonly oauth: OAuthHooks;
	/** Records an entry in the ledger. */
	readonly record: RecordEntry;
	readonly clock: Clock;
	readonly pause: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Registers the provider, which serves requests from the pool. */
export function provideFromPool(pi: ExtensionAPI, deps: ProviderDeps): Provider {
	const { files, sharing, parts, session, oauth, record, clock, pause } = deps;
	const { settings } = sharing;
	const { pool, link, credentials, usage } = parts;
	const { affinity, beyond, modelNamed } = session;
	/** While nothing is known of a shared pool, the first request waits for the first look at its database. */
	const linkOnceKnown: PiLoginSync = {
		...link,
		sync: async (signal) => {
			await sharing.current()?.ready(signal);
			await link.sync(signal);
		},
	};
	const failover: FailoverDeps = {
		pool,
		link: linkOnceKnown,
		credentials,
		affinity,
		sockets: createSessionSockets(delegate.forgetSession),
		delegate,
		backend: { fetch: (input, init) => globalThis.fetch(input, init), readRefusal },
		readUsageHeaders: usageFromHeaders,
		askUsage: usage.ask,
		figuresDue: usage.figuresDue,
		isRepeatedByHost,
		fingerprint,
		settings: settings.read,
		modelNamed,
		recheckCooling: () => void usage.recheckCooling(),
		record,
		beyond,
		clock,
		pause,
		random: Math.random,
	};
	return registerProvider(pi, {
		isEnabled: () => settings.read().enabled,
		hasAccount: () => {
			const isSignedIn = sharing.accounts.list().length > 0 || files.piAuth.peek().kind === "oauth";
			return isSignedIn || sharing.current()?.isAwaited() === true;
		},
		whyNoAccount: () => {
			const shared = sharing.current();
			return shared && noSharedAccount(shared.status().connection);
		},
		keyForOthers: createHandout({ pool, affinity, credentials }),
		refusalToSend: (baseUrl) => refusalToSendTokens(baseUrl, "baseUrl of openai-codex in models.json"),
		onRequest: (baseUrl) => {
			usage.setBaseUrl(baseUrl);
			// Only a session without an account chooses one. Every other session learns about its own from responses. A cap
			// is only as good as the usage that it is compared with.
			const hasCaps = Object.keys(settings.read().caps).length > 0;
			if (affinity.account() === undefined || hasCaps) void usage.refreshStale();
		},
		oauth,
		failover,
	});
}

interface FooterDeps {
	readonly files: Pick<Files, "followed">;
	readonly sharing: Pick<Sharing, "settings" | "current">;
	readonly parts: Pick<PoolParts, "pool" | "link" | "usage">;
	readonly session: Pick<SessionParts, "affinity" | "poolModel" | "beyond" | "forecasts">;
	readonly provider: Provider;
}

/** Creates the footer. Once a minute it also notices what other processes have done. */
export function footerOfSession({ files, sharing, parts, session, provider }: FooterDeps): Footer {
	const { pool, link, usage } = parts;
	const { affinity, poolModel, beyond, forecasts } = session;
	return createFooter({
		pool,
		affinity,
		settings: sharing.settings.read,
		isForeign: link.isForeign,
		codexId: poolModel.codexId,
		serving: poolModel.serving,
		sourceOf: beyond.source,
		forecasts,
		sharedPool: () => sharing.current()?.status(),
		onTick: () => {
			if (provider.isOutOfStep()) pool.emit({ type: "changed" });
			pool.detectChanges();
			void usage.recheckCooling();
		},
		followStores: (listener) => followFiles(files.followed, listener),
	});
}
