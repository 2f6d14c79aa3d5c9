// What axe finds wrong with the page as it is shown now, once layouts and charts have followed the width: a line for each kind.
async ({ exclude = [], ...rules }) => {
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  const { violations } = await axe.run({ include: document, exclude }, { resultTypes: ["violations"], ...rules });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}${nodes.length > 3 ? ` and ${nodes.length - 3} more` : ""}`);
}
