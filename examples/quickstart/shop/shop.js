"use strict";

const sent = document.getElementById("sent");
let total = 0;

function send(call, what, ...args) {
  analytics[call](what, ...args);
  const item = document.createElement("li");
  item.textContent = `${call}: ${what} ${args.length ? JSON.stringify(args[0]) : ""}`;
  sent.prepend(item);
}

for (const button of document.querySelectorAll("[data-product]")) {
  button.addEventListener("click", () => {
    const price = Number(button.dataset.price);
    total += price;
    send("track", "Product Added", { product: button.dataset.product, price, currency: "USD" });
  });
}

document.getElementById("identify").addEventListener("click", () =>
  send("identify", "ada", { email: "ada@example.com", name: "Ada" }));

document.getElementById("group").addEventListener("click", () =>
  send("group", "chess-club", { name: "The chess club" }));

document.getElementById("order").addEventListener("click", () => {
  send("track", "Order Completed", { order_id: crypto.randomUUID(), total, currency: "USD" });
  total = 0;
});

document.getElementById("wrong").addEventListener("click", () =>
  send("track", "Product Added", { product: "", price: "a lot" }));
