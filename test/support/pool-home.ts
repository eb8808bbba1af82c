import { createCredentials } from "../../src/core/credentials/credentials.ts";
import { createMembership, type Membership } from "../../src/core/credentials/membership.ts";
import type { PoolEvent } from "../../src/core/events.ts";
import type { AccountId } from "../../src/core/ids.ts";
import { createPool } from "../../src/core/pool/pool.ts";
import type { OAuthClient, SettingsStore, SharedPools } from "../../src/core/ports.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { fingerprint, identityOf, tokenTimes } from "../../src/platform/backend/jwt.ts";
import { createProcesses } from "../../src/platform/processes.ts";
import { createPoolHome } from "../../src/platform/shared-pool/pool-home.ts";
import { createPoolSwitch, type PoolSwitch } from "../../src/platform/shared-pool/pool-switch.ts";
import type { SharedPool } from "../../src/platform/shared-pool/shared-pool.ts";
import { type LocalAccountStore, openAccountStore } from "../../src/platform/stores/account-store.ts";
import { openSettings } from "../../src/platform/stores/settings-store.ts";
import { openStateStore } from "../../src/platform/stores/state-store.ts";
import { aPiAuth, aScratch, aTokenOf, HOUR_MS, type Scratch } from "./fakes.ts";
import { anId } from "./ids.ts";

/** The issuer of tokens: each refresh token works once, whoever sends it. */
export interface FakeIssuer extends OAuthClient {
	/** A sign-in of an account, whose access token is good for `ms`. */
	signIn(name: string, ms?: number): { readonly access: string; readonly refresh: string; readonly expiresAt: number };
	/** The refresh token of an account that is good now. */
	refreshOf(name: string): string | undefined;
	/** Every refresh token that was sent, in order. */
	readonly sent: readonly string[];
	/** Called between the exchange and its answer. */
	onExchanged: () => Promise<void>;
	/** The life of the access tokens that come of exchanges, ms. */
	lifeMs: number;
}

export function anIssuer(): FakeIssuer {
	const valid = new Map<string, string>();
	const sent: string[] = [];
	let issued = 0;
	const issue = (name: string, ms: number) => {
		issued += 1;
		const refresh = `refresh-${name}-${issued}`;
		valid.set(refresh, name);
		const now = Date.now();
		const life = { issuedAt: now - 1000 + issued, expiresAt: now + ms };
		return { access: `${aTokenOf(name, life)}${issued}`, refresh, expiresAt: now + ms };
	};
	const issuer: FakeIssuer = {
		sent,
		lifeMs: 10 * HOUR_MS,
		refreshOf: (name) => [...valid].find(([, owner]) => owner === name)?.[0],
		onExchanged: async () => undefined,
		signIn: (name, ms = 10 * HOUR_MS) => issue(name, ms),
		refresh: async (token) => {
			sent.push(token);
			const name = valid.get(token);
			valid.delete(token);
			const next = name === undefined ? undefined : issue(name, issuer.lifeMs);
			await issuer.onExchanged();
			if (next === undefined) return { kind: "refused", code: "refresh_token_reused", closed: false };
			return { kind: "granted", credential: next };
		},
	};
	return issuer;
}

/** One process of pi on one machine, as far as its accounts go. */
export interface PoolProcess {
	readonly sharing: PoolSwitch;
	readonly local: LocalAccountStore;
	readonly pools: SharedPools;
	readonly membership: Membership;
	readonly credentials: ReturnType<typeof createCredentials>;
	readonly events: PoolEvent[];
	readonly failures: unknown[];
	readonly scratch: Scratch;
	/** Advances the clock that no clock change moves. */
	sleep(ms: number): void;
	/** The pool that is open. */
	open(): SharedPool;
	/** Adds an account of this machine. */
	signIn(name: string, ms?: number): Promise<AccountId>;
	labels(): string[];
	end(): Promise<void>;
}

/** Starts a process in a home. Several may share one. */
export function aPoolProcess(
	issuer: FakeIssuer,
	{
		scratch = aScratch(),
		environment,
		settings: overrides = {},
	}: {
		readonly scratch?: Scratch;
		readonly environment?: string;
		readonly settings?: Partial<SettingsStore>;
	} = {},
): PoolProcess {
	const clock = { now: () => Date.now() };
	const events: PoolEvent[] = [];
	const failures: unknown[] = [];
	let sleptMs = 0;
	const tell = (event: PoolEvent) => {
		events.push(event);
	};
	const warn = (text: string) => tell({ type: "warning", text });
	const onFailure = (error: unknown) => void failures.push(error);
	const local = openAccountStore(scratch.path("codex-accounts.json"), warn, clock.now, undefined, onFailure);
	const state = openStateStore(scratch.path("codex-state.json"), warn, clock.now);
	const settings = { ...openSettings(scratch.path("settings.json"), warn), ...overrides };
	const tokens = { issuedAt: (access: string) => tokenTimes(access).issuedAt, fingerprint, identify: identityOf };
	const labelFor = (email: string | undefined, id: string) => email?.split("@")[0] ?? id;
	const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
	const home = createPoolHome({
		environment,
		settings,
		current: () => sharing.current(),
		reopen: () => sharing.reopen(settings.read().pool),
		folder: scratch.dir,
		local: { accounts: local, state },
		oauth: issuer,
		tokens,
		clock,
		monotonic: () => performance.now() + sleptMs,
		pause,
		labelFor,
		tell,
		renewAhead: (id) => credentials.renewAhead(id),
		onFailure,
	});
	const sharing = createPoolSwitch({
		accounts: local,
		state,
		code: environment,
		open: home.open,
		onChanged: () => undefined,
		onFailure,
	});
	const parts = { accounts: sharing.accounts, state: sharing.state, piAuth: aPiAuth(), tokens, clock, labelFor };
	const credentials = createCredentials({
		...parts,
		oauth: issuer,
		processes: createProcesses(clock.now),
		pause,
		tell,
		onFailure,
		shared: () => sharing.current()?.tokens,
	});
	const pool = createPool({ ...parts, settings: () => DEFAULT_SETTINGS });
	const membership = createMembership({ ...parts, pool });
	sharing.follow(settings.read().pool);
	return {
		sharing,
		local,
		pools: home.pools,
		membership,
		credentials,
		events,
		failures,
		scratch,
		sleep: (ms) => {
			sleptMs += ms;
		},
		open: () => {
			const open = sharing.current();
			if (!open) throw new Error("no pool is open");
			return open;
		},
		signIn: async (name, ms) => {
			const joined = await membership.join(issuer.signIn(name, ms), { source: "login", label: name });
			return joined?.id ?? anId("");
		},
		labels: () => sharing.accounts.list().map(({ label }) => label),
		end: async () => {
			await credentials.idle();
			await sharing.accounts.flush();
			await sharing.state.flush();
			await sharing.current()?.flush();
			await sharing.current()?.rest();
		},
	};
}
