// What is wrong with how a page is laid out: more or fewer than one first heading, and what is wider than the page.
() => {
  const wrong = [];
  const headings = document.querySelectorAll("h1").length;
  if (headings !== 1) wrong.push(`${headings} first headings`);
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) {
    const beyond = [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1);
    wrong.push(`${wide} px too wide: ${beyond.slice(-3).map((element) => `${element.tagName.toLowerCase()}.${[...element.classList].join(".")} “${element.textContent.trim().slice(0, 30)}”`).join(", ")}`);
  }
  return wrong;
}
