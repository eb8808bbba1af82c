import type { Account, Credential } from "../../core/account.ts";
import type { AccountStore, SharedTokens, TokenReader } from "../../core/ports.ts";
import type { Journal } from "./journal.ts";
import { isGood, later, type Renewed, ready } from "./renewed.ts";
import { createSharedExchange, type ExchangeDeps } from "./shared-exchange.ts";
import type { OpenRow } from "./shared-rows.ts";
import { PoolProblem, type Role } from "./types.ts";

/** Dependencies of renewing shared accounts. */
interface RenewingDeps extends ExchangeDeps {
	readonly role: Role;
	readonly journal: Journal;
	/** Reads the database, which brings newer tokens into the mirror. Never rejects. */
	readonly look: () => Promise<void>;
	/** Runs work as the only process of this machine that renews the account. */
	readonly alone: AccountStore["whileRefreshing"];
	readonly tokens: TokenReader;
}

/** A token is renewed when this part of its lifetime is left. */
const EARLY = 1 / 5;
/** How early a token of unknown lifetime is renewed. */
const REFRESH_AHEAD_MS = 10 * 60_000;
/** How long a runner waits before it checks for a newer token again. */
const RUNNERS_RETRY_MS = 30_000;

/** Creates the renewal, with one exchange of a refresh token across all machines of the pool. */
export function createRenewing(deps: RenewingDeps): SharedTokens {
	const { role, mirror, rows, connection, journal, replay, look, alone, tokens, clock, tell } = deps;
	const exchange = createSharedExchange(deps);

	/**
	 * Returns the time by this machine's clock or by that of the database, whichever is behind. A clock that is days
	 * ahead would have every token renewed again and again.
	 */
	const earliestNow = () => clock.now() - Math.max(mirror.lastLook()?.aheadMs ?? 0, 0);
	const isEnding = ({ access, expiresAt }: Credential): boolean => {
		const lifeMs = expiresAt - (tokens.issuedAt(access) ?? expiresAt);
		return expiresAt - earliestNow() <= Math.max(lifeMs * EARLY, REFRESH_AHEAD_MS);
	};

	const renewAsRunner = async ({ id }: Account, refused: string | undefined): Promise<Renewed> => {
		await look();
		const known = mirror.rows().get(id)?.account;
		if (!known) return later("it was taken out of the pool", clock.now());
		if (isGood(known.credential, refused, clock.now())) return ready(known.credential);
		const reason = connection.away()
			? "its pool cannot be reached"
			: "no keeper of its pool has renewed it; a pi on a machine with a keeper's code does";
		return later(reason, clock.now(), RUNNERS_RETRY_MS);
	};

	/**
	 * True if the row is older than what this machine has seen: a backup of the database was restored, or a lagging
	 * server answered. Another token has replaced the one in the row, so this one is spent.
	 */
	const isPutBack = ({ account: { id }, row }: OpenRow): boolean => {
		const seen = mirror.rows().get(id);
		return seen !== undefined && seen.version > row.version && seen.tokenHash !== row.tokenHash;
	};

	const renewAsKeeper = async (had: Account, refused: string | undefined): Promise<Renewed> => {
		const { id } = had;
		const isNews = ({ credential }: Account) =>
			credential.access !== had.credential.access && isGood(credential, refused, clock.now());
		const outcome = await alone(id, async () => {
			// Another process of this machine may have renewed it while this one waited.
			const known = mirror.rows().get(id)?.account;
			if (known && isNews(known)) return ready(known.credential);
			// Detect a full or read-only disk before the token is spent.
			await journal.prove(id);
			await replay.all();
			const open = await rows.read(id);
			if (!open) return later("it was taken out of the pool", clock.now());
			if (isNews(open.account)) {
				tell({ type: "renewed-elsewhere", account: id });
				return ready(open.account.credential);
			}
			if (refused === undefined && !isEnding(open.account.credential)) return ready(open.account.credential);
			if (open.account.needsLogin) return later("its sign-in is over", clock.now());
			if (isPutBack(open)) {
				return later("its database was put back to an older state; sign in to it again", clock.now());
			}
			return exchange(open, refused);
		});
		return outcome === "busy" ? later("another process is refreshing it", clock.now()) : outcome;
	};

	return {
		renew: async (account, refused) => {
			try {
				return await (role === "runner" ? renewAsRunner(account, refused) : renewAsKeeper(account, refused));
			} catch (error) {
				// The connection has reported this problem, and it is no defect.
				if (error instanceof PoolProblem) return { kind: "failed", reason: "its shared pool cannot be used just now" };
				throw error;
			}
		},
		isDue: ({ credential, needsLogin, enabled }) => {
			if (role === "runner" || needsLogin || !enabled || connection.away()) return false;
			return isEnding(credential);
		},
	};
}
