// Preloaded into a pi that is measured: says at its end how much processor time it took, in milliseconds.
import { writeFileSync } from "node:fs";

process.on("exit", () => {
	const { user, system } = process.cpuUsage();
	writeFileSync(process.env.CPU_TIME_FILE, String((user + system) / 1000));
});
