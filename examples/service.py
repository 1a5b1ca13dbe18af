"""A service over a published store: pip install fastapi uvicorn; STORE=store uvicorn service:app"""

import os

import fastapi

import traitcore as tc

shop = tc.open_shop(os.environ.get("STORE", "store"))
app = fastapi.FastAPI(title="traitcore")


@app.get("/similar/{what}")
def similar(what: str, k: int = 10): return shop.similar(what, k).to_dicts()


@app.get("/customers/{who}")
def customer(who: str, k: int = 5): return shop.customer(who, k).to_dict()


@app.get("/recommend/{who}")
def recommend(who: str, k: int = 10): return shop.recommend(who, k, fallback="popular").to_dicts()


@app.post("/refresh")
def refresh(): return {"new": shop.refresh()}


@app.exception_handler(KeyError)
def unknown(_, error): return fastapi.responses.JSONResponse({"detail": str(error.args[0])}, 404)
