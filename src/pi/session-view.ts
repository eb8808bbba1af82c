import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../core/account.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import type { AccountId } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { PoolView } from "../core/pool/pool-view.ts";
import type { Clock, ForecastSource, SettingsStore, SharedPools } from "../core/ports.ts";
import type { Affinity } from "../core/request/affinity.ts";
import { type Plan, readyCount, type SelectionRequest } from "../core/request/plan.ts";
import type { NextRequest } from "../ui-kit/account-texts.ts";
import { sessionIdOf } from "./session-id.ts";
import { viewOf, withForecast } from "./view-of-pool.ts";

/** The pool as seen by the session in front of the person. */
export interface SessionView {
	/**
	 * Returns the request that the session would send next. On a model of another provider: one for the saved default.
	 */
	request(host: ExtensionContext): SelectionRequest;
	/** Plans who serves that request, and why. `without`: as if that account were gone. */
	plan(host: ExtensionContext, without?: AccountId): Plan;
	/** Returns the account that serves that request; undefined if none can. `without`: as if that account were gone. */
	next(host: ExtensionContext, without?: AccountId): Account | undefined;
	/** Returns the same in the form that sentences need. */
	nextRequest(host: ExtensionContext, without?: AccountId): NextRequest;
	/** True if any account can serve the session. */
	isAnyReady(): boolean;
	/** Returns the pool as it is shown now. */
	pool(host: ExtensionContext): PoolView;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly link: Pick<PiLoginSync, "isForeign">;
	readonly settings: Pick<SettingsStore, "read">;
	/** Returns the Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	/** Returns the Codex model of a session that is on one, or on the virtual model. */
	readonly codexId: (host: ExtensionContext) => string | undefined;
	/** Forecasts how long quota lasts. */
	readonly forecasts: Pick<ForecastSource, "current">;
	readonly sharedPools: Pick<SharedPools, "status">;
	readonly clock: Clock;
}

/** Creates the session's view of the pool. */
export function createSessionView({
	pool,
	affinity,
	link,
	settings,
	savedModel,
	codexId,
	forecasts,
	sharedPools,
	clock,
}: Deps): SessionView {
	const request = (host: ExtensionContext): SelectionRequest => ({
		modelId: codexId(host) ?? savedModel(),
		sessionId: sessionIdOf(host),
		affinity: affinity.account(),
		served: affinity.lastServed(),
		patienceMs: settings.read().rotation.maxWaitMs,
	});
	const plan = (host: ExtensionContext, without?: AccountId) => {
		return pool.plan({ ...request(host), tried: without === undefined ? undefined : new Set([without]) });
	};
	const next = (host: ExtensionContext, without?: AccountId) => plan(host, without).next;
	return {
		request,
		plan,
		next,
		nextRequest: (host, without) => {
			return { isEnabled: settings.read().enabled, isForeign: link.isForeign(), account: next(host, without) };
		},
		isAnyReady: () => readyCount(pool.plan({ modelId: undefined, sessionId: undefined, affinity: undefined })) > 0,
		pool: (host) => {
			const serves = { account: next(host), isForeign: link.isForeign() };
			const sessionId = sessionIdOf(host);
			const now = clock.now();
			const view = viewOf(pool, settings.read(), now, serves, atWork(host, pool), sessionId, sharedPools.status());
			return withForecast(view, forecasts.current());
		},
	};
}

/** Counts the sessions working on each account. The person's own session counts only while it answers. */
function atWork(host: ExtensionContext, pool: Pool): ReadonlyMap<AccountId, number> {
	const others = pool.liveSessions(sessionIdOf(host));
	const own = host.isIdle() ? undefined : pool.active();
	return own === undefined ? others : new Map([...others, [own, (others.get(own) ?? 0) + 1]]);
}
