import { type LimitWindow, ModelledQuota, type WindowInit } from "./quota.ts";

/** Id of the limit of the reserve model, as usage and headers name it. */
export const RESERVE_LIMIT_ID = "base_model_inference";

/** The model that a request names to draw on it. */
export const WIRE_MODEL = "gpt-reserve";

/**
 * Luna Reserve of an account: a week of a second allowance, which serves one model once the ordinary usage is spent.
 */
export interface ReserveInit extends WindowInit {
	/** The model that it stands for; null leaves it out, as no answer should. */
	readonly normalModel?: string | null;
	/** The model of a request that draws on it. */
	readonly wireModel?: string;
	/** Percent of it that one healthy request takes. */
	readonly costPerRequestPercent?: number;
}

/** A modelled reserve that drains with every request on it. */
export class ModelledReserve {
	readonly wireModel: string;
	readonly normalModel: string | null;
	readonly #quota: ModelledQuota;

	constructor(init: ReserveInit, nowMs: number) {
		const { normalModel = "gpt-6-luna", wireModel = WIRE_MODEL, costPerRequestPercent = 0, ...week } = init;
		this.wireModel = wireModel;
		this.normalModel = normalModel;
		this.#quota = new ModelledQuota({ week, costPerRequestPercent }, nowMs);
	}

	windows(nowMs: number): LimitWindow[] {
		return this.#quota.windows(nowMs);
	}

	/** Its spent window, if it is used up. */
	spent(nowMs: number): LimitWindow | undefined {
		return this.#quota.spent(nowMs);
	}

	charge(nowMs: number): void {
		this.#quota.charge(nowMs);
	}

	setUsed(usedPercent: number): void {
		this.#quota.setUsed("week", usedPercent);
	}
}
