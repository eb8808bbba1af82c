import { hostname } from "node:os";
import { join } from "node:path";
import type { SettingsStore, SharedPools } from "../../core/ports.ts";
import { readJoinCode } from "./join-code.ts";
import { mirrorInMemory, openMirror } from "./mirror.ts";
import { createSharedPools } from "./pools.ts";
import { openSharedPool, type SharedPool, type SharedPoolDeps } from "./shared-pool.ts";
import { PoolProblem } from "./types.ts";

/** What an agent directory has of a pool: its file, and the pool opened from it. */
interface PoolHome {
	/** Opens the pool `name` from the settings, or that of the environment. Undefined if no code can be read. */
	open(name: string | undefined): Promise<SharedPool | undefined>;
	/** What a person does with it. */
	readonly pools: SharedPools;
}

interface Deps extends Omit<SharedPoolDeps, "code" | "joinedBy" | "file"> {
	/** The join code in the environment. */
	readonly environment: string | undefined;
	readonly settings: Pick<SettingsStore, "read" | "change">;
	readonly current: () => SharedPool | undefined;
	/** Opens again what the settings now say. */
	readonly reopen: () => Promise<void>;
}

/** Creates the home of a pool in an agent directory. */
export function createPoolHome({ environment, settings, current, reopen, ...given }: Deps): PoolHome {
	const { folder, tell } = given;
	/** The connection reports why the database is unreachable. That is no defect. */
	const onFailure = (error: unknown) => {
		if (!(error instanceof PoolProblem)) given.onFailure(error);
	};
	const deps = { ...given, onFailure };
	const warn = (text: string) => tell({ type: "warning", text });
	const file = openMirror(join(folder, "codex-pool.json"), warn);
	/**
	 * True if another process of this machine has replaced the keys or joined with newer ones, or ended before it could
	 * record that they were replaced.
	 */
	const hasNewerCode = (text: string) => file.join() !== text || (file.next() ?? text) !== text;
	const openWithNewer = async (text: string) => {
		const next = file.next();
		if (file.join() === text && next !== undefined) {
			await file.enter(next, file.machine() ?? hostname(), file.name() ?? "", true);
		}
		await reopen();
	};
	return {
		open: async (name) => {
			if (environment !== undefined) {
				const read = readJoinCode(environment);
				if (read.kind === "bad") {
					warn(`PI_MULTICODEX_POOL: ${read.problem}`);
					return undefined;
				}
				if (settings.read().pool !== undefined) warn(bothNamed());
				const memory = mirrorInMemory(environment, hostname());
				return openSharedPool({ ...deps, code: read.code, joinedBy: "environment", file: memory });
			}
			const text = file.join();
			if (text === undefined) {
				warn(withoutCode(name ?? ""));
				return undefined;
			}
			const read = readJoinCode(text);
			if (read.kind === "bad") {
				warn(`codex-pool.json: ${read.problem}`);
				return undefined;
			}
			return openSharedPool({
				...deps,
				code: read.code,
				joinedBy: "settings",
				file,
				tell: (event) => {
					const isOver = event.type === "pool-away" && event.problem === "revoked" && hasNewerCode(text);
					if (isOver) void openWithNewer(text).catch(onFailure);
					else tell(event);
				},
			});
		},
		pools: createSharedPools({
			current,
			reopen,
			file,
			folder,
			local: deps.local.accounts,
			clock: deps.clock,
			settings,
			isByEnvironment: environment !== undefined,
			tell,
		}),
	};
}

function bothNamed(): string {
	return "PI_MULTICODEX_POOL is set: its shared pool is used in place of the one that this machine has joined.";
}

function withoutCode(name: string): string {
	return (
		`settings.json names the shared pool "${name}", and codex-pool.json has no join code: ` +
		"/multicodex join <code> joins it again, /multicodex leave ends it."
	);
}
