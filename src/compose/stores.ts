import { join } from "node:path";
import { tellDefect } from "../core/defect-reports.ts";
import type { PoolListener } from "../core/events.ts";
import type { AccountId } from "../core/ids.ts";
import type {
	Clock,
	EventLog,
	OAuthClient,
	PiAuth,
	SettingsStore,
	SharedPools,
	StateStore,
	TokenReader,
	UsageApi,
} from "../core/ports.ts";
import { unusualIssuer } from "../features/sign-in/texts.ts";
import { fingerprint, identityOf, tokenTimes } from "../platform/backend/jwt.ts";
import { createOAuthClient, DEFAULT_ISSUER } from "../platform/backend/openai-oauth.ts";
import { refusalToSendTokens, unusualHost } from "../platform/backend/token-url.ts";
import { createUsageApi } from "../platform/backend/usage-api.ts";
import { openInGivenFolder, openSharedDocument } from "../platform/files/shared-document.ts";
import { once } from "../platform/lazily.ts";
import { createPoolSwitch, type PoolSwitch } from "../platform/shared-pool/pool-switch.ts";
import { defaultLabel } from "../platform/stores/account-file.ts";
import { type LocalAccountStore, openAccountStore } from "../platform/stores/account-store.ts";
import { accountsPlaceOf, adoptState } from "../platform/stores/agent-directory.ts";
import { openEventLog } from "../platform/stores/event-log.ts";
import { openPiAuth } from "../platform/stores/pi-auth.ts";
import { openSettings } from "../platform/stores/settings-store.ts";
import { openStateStore } from "../platform/stores/state-store.ts";

/** What is stored, by the names that a person sees. */
type Stored = "accounts" | "state" | "log" | "history" | "ledger" | "settings" | "pi's login";

/** The files of an agent directory. Nothing is read before it is used. */
export interface Files {
	readonly directory: string;
	readonly paths: Readonly<Record<Stored, string>>;
	/** Path of the shared pool's file, which exists once a pool was joined. */
	readonly poolFile: string;
	readonly accounts: LocalAccountStore;
	readonly state: ReturnType<typeof openStateStore>;
	readonly settings: SettingsStore;
	readonly eventLog: EventLog;
	readonly piAuth: PiAuth;
	/** Paths that other processes write to. What is shown depends on them. */
	readonly followed: readonly string[];
}

/** Opens the files. `warn` gets each problem of a file once. */
export function openFiles(directory: string, clock: Clock, warn: (text: string) => void, emit: PoolListener): Files {
	const place = accountsPlaceOf(directory);
	adoptState(directory, place);
	const paths = {
		accounts: join(directory, "codex-accounts.json"),
		state: place.state,
		log: join(directory, "codex-events.jsonl"),
		history: join(directory, "codex-history.jsonl"),
		ledger: join(directory, "codex-ledger.jsonl"),
		settings: join(directory, "settings.json"),
		"pi's login": join(directory, "auth.json"),
	};
	const poolFile = join(directory, "codex-pool.json");
	const openState = place.isElsewhere ? openInGivenFolder : openSharedDocument;
	const state = openStateStore(paths.state, warn, clock.now, openState);
	const accounts = openAccountStore(
		paths.accounts,
		warn,
		clock.now,
		(into, former) => {
			void state.inherit(into, former);
			emit({ type: "membership", change: "merged", account: into, former });
		},
		(error) => tellDefect(error, "accounts", emit),
	);
	return {
		directory,
		paths,
		poolFile,
		accounts,
		state,
		settings: openSettings(paths.settings, warn),
		eventLog: openEventLog(paths.log, clock.now, process.pid),
		piAuth: openPiAuth(paths["pi's login"]),
		followed: [place.accounts, paths.accounts, paths.state, paths.settings, poolFile],
	};
}

/** The sign-in service, and the endpoint of usage. */
export interface Endpoints {
	readonly issuer: string;
	/** Says why no token may be sent to the issuer; undefined if one may. */
	readonly refusal: string | undefined;
	/** Says, at the start of every session, that the issuer is not OpenAI's. */
	readonly reminder: string | undefined;
	readonly oauth: OAuthClient;
	readonly usageApi: UsageApi;
	readonly tokens: TokenReader;
}

/** Creates the endpoints. Calls none. */
export function createEndpoints({ now }: Clock): Endpoints {
	const issuer = process.env.PI_MULTICODEX_AUTH_URL || DEFAULT_ISSUER;
	const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	const host = refusal === undefined ? unusualHost(issuer, DEFAULT_ISSUER) : undefined;
	return {
		issuer,
		refusal,
		reminder: host === undefined ? undefined : unusualIssuer(host),
		oauth: createOAuthClient(issuer, now),
		usageApi: createUsageApi(now),
		tokens: { issuedAt: (access) => tokenTimes(access).issuedAt, fingerprint, identify: identityOf },
	};
}

/** The stores of this process: those of its files, or those of the shared pool that this machine has joined. */
export interface Sharing extends Pick<PoolSwitch, "current" | "settling"> {
	readonly accounts: PoolSwitch["accounts"];
	readonly state: StateStore;
	/** Reading them opens or closes the pool in the background if they name another one. */
	readonly settings: SettingsStore;
	/** Starts a session. `stays`: in a terminal, or in a program that keeps running. */
	begin(stays: boolean): void;
	/** Loads what a person does with a pool. */
	readonly loadPools: () => Promise<SharedPools>;
}

interface SharingDeps {
	readonly files: Pick<Files, "directory" | "accounts" | "state" | "settings">;
	readonly endpoints: Pick<Endpoints, "oauth" | "tokens">;
	/** Renews an account's token in the background if it is due. */
	readonly renewAhead: (id: AccountId) => void;
	readonly clock: Clock;
	readonly pause: (ms: number) => Promise<void>;
	readonly emit: PoolListener;
}

/** Creates the stores. Nothing of a shared pool is loaded if this machine has joined none. */
export function createSharing({ files, endpoints, renewAhead, clock, pause, emit }: SharingDeps): Sharing {
	const { accounts, state, settings } = files;
	const environment = process.env.PI_MULTICODEX_POOL || undefined;
	const onFailure = (error: unknown) => tellDefect(error, "shared pool", emit);
	const loadHome = once(async () => {
		const { createPoolHome } = await import("../platform/shared-pool/pool-home.ts");
		return createPoolHome({
			environment,
			settings,
			current: pools.current,
			reopen: () => pools.reopen(settings.read().pool),
			folder: files.directory,
			local: { accounts, state },
			oauth: endpoints.oauth,
			tokens: endpoints.tokens,
			clock,
			monotonic: () => performance.now(),
			pause,
			labelFor: defaultLabel,
			tell: emit,
			renewAhead,
			onFailure,
		});
	});
	/** Undefined before the session starts. */
	let stays: boolean | undefined;
	const pools: PoolSwitch = createPoolSwitch({
		accounts,
		state,
		code: environment,
		open: async (name) => {
			const opened = await (await loadHome()).open(name);
			if (stays !== undefined) opened?.begin(stays);
			return opened;
		},
		onChanged: () => emit({ type: "changed" }),
		onFailure,
	});
	return {
		accounts: pools.accounts,
		state: pools.state,
		current: pools.current,
		settling: pools.settling,
		settings: {
			...settings,
			read: () => {
				const read = settings.read();
				pools.follow(read.pool);
				return read;
			},
		},
		begin: (isStaying) => {
			stays = isStaying;
			pools.current()?.begin(stays);
		},
		loadPools: async () => (await loadHome()).pools,
	};
}
