import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../core/account.ts";
import type { Affinity } from "../core/affinity.ts";
import type { AccountId } from "../core/ids.ts";
import { type Asker, nextInLine } from "../core/next-in-line.ts";
import type { PiLoginSync } from "../core/pi-login-sync.ts";
import type { Pool } from "../core/pool.ts";
import type { PoolView } from "../core/pool-view.ts";
import type { Clock, SettingsStore } from "../core/ports.ts";
import type { NextRequest } from "../ui-kit/account-texts.ts";
import { PROVIDER } from "./provider.ts";
import { viewOf } from "./view-of-pool.ts";

/** The pool as the session in front of the person sees it. */
export interface SessionView {
	/** The request that the session sends next. Beside a model of another provider: one for the saved default. */
	asker(host: ExtensionContext): Asker;
	/** The account that serves that request, `without` as if that one were gone; undefined where none can. */
	next(host: ExtensionContext, without?: AccountId): Account | undefined;
	/** The same as a sentence needs it. */
	nextRequest(host: ExtensionContext, without?: AccountId): NextRequest;
	/** True while some account can serve. */
	isAnyReady(): boolean;
	/** The pool as it is shown now. */
	pool(host: ExtensionContext): PoolView;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly link: Pick<PiLoginSync, "isForeign">;
	readonly settings: Pick<SettingsStore, "read">;
	/** The Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	readonly clock: Clock;
}

/** Creates it. */
export function createSessionView({ pool, affinity, link, settings, savedModel, clock }: Deps): SessionView {
	const asker = ({ model, sessionManager }: ExtensionContext): Asker => ({
		modelId: model?.provider === PROVIDER ? model.id : savedModel(),
		sessionId: sessionManager.getSessionId(),
		patienceMs: settings.read().rotation.maxWaitMs,
	});
	const next = (host: ExtensionContext, without?: AccountId) => {
		const gone = without === undefined ? undefined : new Set([without]);
		return nextInLine(pool, affinity, asker(host), gone);
	};
	return {
		asker,
		next,
		nextRequest: (host, without) => {
			return { isEnabled: settings.read().enabled, isForeign: link.isForeign(), account: next(host, without) };
		},
		isAnyReady: () => pool.accounts().some((account) => pool.state(account) === "ready"),
		pool: (host) => viewOf(pool, settings.read(), clock.now(), next(host)),
	};
}
