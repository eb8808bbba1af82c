import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import { type Beyond, createBeyond } from "../core/beyond/beyond.ts";
import { type AheadOfTime, type Credentials, createCredentials } from "../core/credentials/credentials.ts";
import { createMembership, type Membership } from "../core/credentials/membership.ts";
import { createPiLoginSync, type PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { tellDefect } from "../core/defect-reports.ts";
import type { PoolEvents } from "../core/events.ts";
import { createForecastSource } from "../core/forecast/forecast-source.ts";
import { createQuotaRecorder } from "../core/forecast/quota-recorder.ts";
import { createPool, type Pool } from "../core/pool/pool.ts";
import { createUsageMonitor, type UsageMonitor } from "../core/pool/usage-monitor.ts";
import type { Clock, ForecastSource, QuotaHistory } from "../core/ports.ts";
import { type Affinity, createAffinity } from "../core/request/affinity.ts";
import { createLateResets, type Resets } from "../core/reset-credits/late-resets.ts";
import { createForToday, type ForToday } from "../features/beyond/for-today.ts";
import { createDryQuestion } from "../features/beyond/question.ts";
import { createModelLookup } from "../pi/models.ts";
import { createPoolModel, type PoolModel } from "../pi/pool-model.ts";
import { isRepeatedByHost } from "../pi/provider.ts";
import { once } from "../platform/lazily.ts";
import { createProcesses } from "../platform/processes.ts";
import { defaultLabel } from "../platform/stores/account-file.ts";
import { createSessionFolders, type SessionFolders } from "../platform/stores/session-folders.ts";
import { savedCodexModelIn } from "../platform/stores/settings-store.ts";
import type { Endpoints, Files, Sharing } from "./stores.ts";

/** The pool of accounts, and what keeps its logins, tokens and usage up to date. */
export interface PoolParts {
	readonly folders: SessionFolders;
	readonly history: QuotaHistory;
	readonly pool: Pool;
	readonly link: PiLoginSync;
	readonly membership: Membership;
	readonly credentials: Credentials & AheadOfTime;
	readonly usage: UsageMonitor;
	readonly resets: Resets;
}

interface PoolDeps {
	readonly files: Pick<Files, "paths" | "piAuth">;
	readonly endpoints: Pick<Endpoints, "oauth" | "usageApi" | "tokens">;
	readonly sharing: Pick<Sharing, "accounts" | "state" | "settings" | "current">;
	readonly events: PoolEvents;
	readonly clock: Clock;
	readonly pause: (ms: number) => Promise<void>;
}

/** Creates the pool. */
export function createPoolParts({ files, endpoints, sharing, events, clock, pause }: PoolDeps): PoolParts {
	const { accounts, state, settings } = sharing;
	const { piAuth } = files;
	const { tokens } = endpoints;
	const { emit } = events;
	const folders = createSessionFolders({ sets: () => settings.read().sets, processFolder: () => process.cwd() });
	const history = createQuotaRecorder({
		load: once(async () => {
			const { openQuotaHistory } = await import("../platform/stores/quota-history-store.ts");
			return openQuotaHistory(files.paths.history, clock.now);
		}),
		now: clock.now,
		onFailure: (error) => tellDefect(error, "quota history", emit),
	});
	const pool = createPool({ accounts, state, clock, settings: settings.read, sets: folders, history, events });
	const link = createPiLoginSync({
		accounts,
		state,
		piAuth,
		tokens,
		clock,
		labelFor: defaultLabel,
		tell: emit,
		onFailure: (error) => tellDefect(error, "pi login", emit),
	});
	const membership = createMembership({ accounts, state, piAuth, pool, tokens, clock, labelFor: defaultLabel });
	const processes = createProcesses(clock.now);
	const credentials = createCredentials({
		accounts,
		state,
		piAuth,
		oauth: endpoints.oauth,
		tokens,
		processes,
		clock,
		pause,
		labelFor: defaultLabel,
		tell: emit,
		onFailure: (error) => tellDefect(error, "renewal", emit),
		shared: () => sharing.current()?.tokens,
	});
	const { usageApi } = endpoints;
	const usage = createUsageMonitor({
		pool,
		state,
		credentials,
		usageApi,
		clock,
		isEnabled: () => settings.read().enabled,
		mayUseReserveModel: () => settings.read().beyond.reserveModel !== "never",
	});
	const loadResets = once(async () => {
		const { createRedeemer } = await import("../core/reset-credits/redeemer.ts");
		const { createResetCreditList } = await import("../core/reset-credits/reset-credit-list.ts");
		const { createResetCreditsApi } = await import("../platform/backend/reset-credits-api.ts");
		const api = createResetCreditsApi(clock.now);
		const parts = { pool, state, credentials, api, baseUrl: usage.baseUrl, clock };
		const redeemer = createRedeemer({ ...parts, usageApi, processes, pause, newKey: randomUUID });
		return { list: createResetCreditList(parts), redeemer };
	});
	const resets = createLateResets({ pool, load: loadResets, clock });
	return { folders, history, pool, link, membership, credentials, usage, resets };
}

/** What serves the session of this process. */
export interface SessionParts {
	readonly affinity: Affinity;
	/** The virtual model of pool and chain. */
	readonly poolModel: PoolModel;
	readonly forecasts: ForecastSource;
	readonly forToday: ForToday;
	readonly beyond: Beyond;
	/** Returns pi's Codex model with this id. */
	readonly modelNamed: ReturnType<typeof createModelLookup>;
	/** Returns the Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
}

interface SessionDeps {
	readonly files: Pick<Files, "paths" | "piAuth">;
	readonly sharing: Pick<Sharing, "state" | "settings">;
	readonly parts: Pick<PoolParts, "pool" | "link" | "history" | "usage" | "resets">;
	readonly clock: Clock;
}

/** Creates what serves a session, and listens to its start and end. */
export function createSessionParts(pi: ExtensionAPI, deps: SessionDeps): SessionParts {
	const { files, clock } = deps;
	const { state, settings } = deps.sharing;
	const { pool, link, history, usage, resets } = deps.parts;
	const affinity = createAffinity(clock);
	const modelNamed = createModelLookup(pi);
	const savedModel = () => savedCodexModelIn(files.paths.settings);
	const poolModel: PoolModel = createPoolModel(pi, {
		pool,
		affinity,
		link,
		settings: settings.read,
		savedModel,
		loginMark: files.piAuth.loginMark,
		recheckCooling: () => void usage.recheckCooling(),
		// The chain is one of the things beyond included quota, and comes after the others.
		beyond: { mayAsk: (...asked) => beyond.mayAsk(...asked), offers: (...asked) => beyond.offers(...asked) },
		lookUp: (plan, baseUrl, signal) => {
			// No request of this process has set the base URL yet.
			usage.setBaseUrl(baseUrl);
			return beyond.lookUp(plan, signal);
		},
		isRepeatedByHost,
		clock,
	});
	const forecasts = createForecastSource({
		pool,
		history,
		load: once(async () => await import("../core/forecast/forecast.ts")),
		giveWay: () => setImmediate(),
		asked: () => ({
			modelId: undefined,
			patienceMs: settings.read().rotation.maxWaitMs,
			sessionId: affinity.session(),
			serving: affinity.account() ?? affinity.lastServed(),
		}),
		clock,
		onFailure: (error) => tellDefect(error, "forecast", pool.emit),
	});
	const forToday = createForToday(state, clock);
	const isMasked = () => settings.read().maskEmails;
	const beyond = createBeyond({
		pool,
		settings: settings.read,
		modelNamed,
		askUsage: usage.ask,
		question: createDryQuestion(pi, { pool, forToday, isMasked, forecasts, clock }),
		consents: forToday,
		resets: { ...resets.redeemer, refreshStale: resets.list.refreshStale },
		chain: poolModel,
	});
	return { affinity, poolModel, forecasts, forToday, beyond, modelNamed, savedModel };
}
