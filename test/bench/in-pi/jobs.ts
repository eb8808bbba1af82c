/** What is measured inside a running pi: the orders of a benchmark, and what comes back. */

/** Requests in pairs, one with us and one on pi's own stream. */
export interface PairsJob {
	readonly kind: "pairs";
	readonly transport: "sse" | "auto";
	/** How many pairs there are of each answer. */
	readonly pairs: Readonly<Record<Answer, number>>;
	/** Pairs of each answer that are not counted, since code that runs for the first time is slower. */
	readonly warmUp: number;
}

/** Many requests at once, all with us and then all on pi's own stream. */
export interface ParallelJob {
	readonly kind: "parallel";
	readonly streams: number;
	readonly rounds: number;
}

/** Turn after turn on one side, and what the process holds in between. */
export interface GrowthJob {
	readonly kind: "growth";
	readonly side: Side;
	/** Turns between two looks. */
	readonly turns: number;
	readonly looks: number;
	readonly warmUp: number;
}

export type Job = PairsJob | ParallelJob | GrowthJob;
export type Side = "ours" | "plain";

/** One request: ms to the first piece of text, and to the end. */
export interface Times {
	readonly first: number;
	readonly total: number;
}

/** What the backend answers: a piece of text, many at once, or many one after the other. The question names it. */
export type Answer = "short" | "long" | "paced";

/** One request of each side. */
export type Pair = Readonly<Record<Side, Times>>;

/** All streams of one round: ms on the wall, ms of processor time, and each request's times. */
export interface Round {
	readonly wallMs: number;
	readonly cpuMs: number;
	readonly times: readonly Times[];
}

/** What a process holds after its garbage was collected, bytes. */
export interface Memory {
	readonly turns: number;
	readonly heap: number;
	readonly rss: number;
}

export type Outcome =
	| { readonly kind: "pairs"; readonly pairs: Readonly<Record<Answer, readonly Pair[]>> }
	| { readonly kind: "parallel"; readonly rounds: readonly Readonly<Record<Side, Round>>[] }
	| { readonly kind: "growth"; readonly memory: readonly Memory[] };

/** The order as the pi gets it, in its environment. */
export interface Order {
	readonly job: Job;
	/** `index.ts` of the package. */
	readonly extension: string;
	/** Access token for pi's own stream. */
	readonly access: string;
	/** Where the outcome is written. */
	readonly outcome: string;
}

/** Name of the variable that holds the order. */
export const ORDER_VARIABLE = "BENCH_ORDER";
